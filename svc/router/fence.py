"""The fence round a planned turn: whoever speaks in the channel after it was planned supersedes it.

Asked when the turn fires and once more before it is said. The answers are steps of the turn like all others,
so a replay sees the same; when nobody can say who has the floor, nothing is said.
"""

from __future__ import annotations

from typing import Literal

from svc.bus import errors
from svc.router import steps
from svc.wire import coordinator, turn

FLOOR_S = 4.0
FIRED, SPOKEN = 0, 1
"""Numbers of the two questions."""


async def check(
    turn_: turn.Turn, asked: steps.Steps, n: int
) -> tuple[Literal["superseded", "shed"], str] | None:
    """None = go on; else how the turn ends, and why. A user's turn has no fence.

    Raises NotAccepted while the broker can't be reached.
    """
    if turn_.origin == "user":
        return None
    request = coordinator.FloorRequest(channel=turn_.channel)
    try:
        floor = await asked.ask("coordinator", "floor", request, coordinator.Floor, n=n, within_s=FLOOR_S)
    except errors.Refused as error:
        return "shed", f"nobody can say who has the floor: {error}"
    if floor.since > turn_.since:
        return "superseded", "a person spoke since it was planned"
    return None
