"""What the gate would say today: every judgement of the last hours, asked again for real in a sandbox."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable

import anyio
import msgspec

from svc.bus import api, calls, errors, limits, subjects
from svc.router import replay
from svc.wire import base, quality

AT_ONCE = 4
"""Judgements under way: people are being answered meanwhile."""
SHOWN = 10
"""Examples kept of what changed most."""


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One judgement, then and now."""

    turn: str
    n: str
    character: str
    text: str
    """The reply that was preferred then."""
    score: float
    score_now: float
    accepted: bool
    accepted_now: bool
    reason: str
    """Why it is refused now, or was then."""


class Summary(msgspec.Struct, kw_only=True):
    """What would change."""

    judged: int = 0
    failed: int = 0
    """Not answered now."""
    unchanged: int = 0
    """Same verdict and same score."""
    now_refused: int = 0
    now_accepted: int = 0
    mean_change: float = 0.0
    """Of the score, now minus then."""
    largest: list[Change] = []
    """Verdicts that turned first, then by how far the score moved."""


async def recorded(bus: api.Bus, since: float) -> AsyncIterator[tuple[subjects.Subject, bytes, bytes]]:
    """Every recorded judgement since then (Unix seconds): subject of the reply, request, reply."""
    requests: dict[str, bytes] = {}
    async for stored in bus.scan("LOG", ("log.quality.assess.>", "rep.quality.assess.>")):
        if stored.at < since:
            continue
        try:
            subject = subjects.parse(stored.subject)
        except ValueError:
            continue
        if subject.turn.startswith(replay.SANDBOX):
            continue
        if subject.kind == "log":
            requests[subjects.reply(subject.a, subject.b, subject.turn, subject.n)] = stored.data
        elif request := requests.pop(stored.subject, None):
            yield subject, request, stored.data


async def run(bus: api.Bus, since: float, progress: Callable[[int], None]) -> Summary:
    """Ask the gate again about everything since then. `progress` is told how many are done.

    Raises Refused, NoReply when not a single judgement could be had.
    """
    summary, changes = Summary(), list[Change]()
    found = [one async for one in recorded(bus, since)]
    sandbox = replay.sandbox_id(str(int(time.time())))
    limit, trouble = anyio.CapacityLimiter(AT_ONCE), list[errors.BusError]()

    async def judge(number: int, subject: subjects.Subject, request: bytes, reply: bytes) -> None:
        async with limit:
            try:
                change = await _again(bus, sandbox, number, subject, request, reply)
            except errors.BusError as error:
                summary.failed += 1
                trouble.append(error)
            else:
                if change is not None:
                    changes.append(change)
            progress(number + 1)

    async with anyio.create_task_group() as tasks:
        for number, (subject, request, reply) in enumerate(found):
            tasks.start_soon(judge, number, subject, request, reply)
    if trouble and not changes:
        raise trouble[0]
    return _summed(summary, changes)


async def _again(
    bus: api.Bus, sandbox: str, number: int, subject: subjects.Subject, request: bytes, reply: bytes
) -> Change | None:
    """One judgement; None for one that was refused then, or is no judgement."""
    try:
        before = calls.unwrap(reply, quality.Assessment)
        asked = base.decode(request, quality.AssessRequest)
        then, text = before.verdicts[before.best], asked.replies[before.best]
    except (errors.Refused, msgspec.MsgspecError, IndexError):
        return None
    now = await bus.call(
        "quality",
        "assess",
        replay.fresh(asked),
        quality.Assessment,
        turn=sandbox,
        n=number,
        within_s=limits.CALL_S,
    )
    verdict = now.verdicts[before.best]
    return Change(
        turn=subject.turn,
        n=subject.n,
        character=asked.character,
        text=text,
        score=then.score,
        score_now=verdict.score,
        accepted=then.accepted,
        accepted_now=verdict.accepted,
        reason=verdict.reason or then.reason,
    )


def _summed(summary: Summary, changes: list[Change]) -> Summary:
    summary.judged = len(changes)
    summary.now_refused = sum(one.accepted and not one.accepted_now for one in changes)
    summary.now_accepted = sum(one.accepted_now and not one.accepted for one in changes)
    moved = [one for one in changes if one.accepted != one.accepted_now or one.score != one.score_now]
    summary.unchanged = len(changes) - len(moved)
    if changes:
        summary.mean_change = round(sum(one.score_now - one.score for one in changes) / len(changes), 2)
    moved.sort(key=lambda one: (one.accepted == one.accepted_now, -abs(one.score_now - one.score)))
    summary.largest = moved[:SHOWN]
    return summary
