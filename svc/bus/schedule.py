"""Turns to come: a message in `later.…` that the broker turns into the `turn.…` of the same name at its time.

It survives restarts of everything. A schedule can only target its own stream (PLANS), so an organic plan can
never forge a user's turn; whoever takes the fired turn checks whether it is still wanted.
"""

from __future__ import annotations

import datetime

import msgspec

from svc.bus import api, broker, subjects

ORIGINS = ("organic", "idle")


async def plan(
    bus: api.Bus, origin: str, character: str, turn: str, body: msgspec.Struct, *, at: float, n: int | str = 0
) -> bool:
    """Let `turn.<origin>.<character>.<turn>.<n>` happen at `at` (Unix seconds), once.

    False when it was planned before. Raises ValueError for an origin that can't be planned, NotAccepted.
    """
    if origin not in ORIGINS:
        raise ValueError(f"a {origin!r} turn can't be planned: only {' and '.join(ORIGINS)}")
    moment = datetime.datetime.fromtimestamp(at, datetime.UTC).isoformat(timespec="milliseconds")
    headers = {
        broker.SCHEDULE: f"@at {moment.replace('+00:00', 'Z')}",
        broker.SCHEDULE_TARGET: subjects.turn(origin, character, turn, n),
    }
    return await bus.publish(subjects.later(origin, character, turn, n), body, headers=headers)
