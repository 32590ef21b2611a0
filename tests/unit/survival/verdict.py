"""What must be true of a world once it is quiet, whatever happened in it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

import msgspec

from svc.bus import subjects
from svc.wire import base, message, turn
from tests.unit.survival import cast, world

ATTEMPTS = 10
"""Of one turn, at most."""
UNSURE = ("freeze", "cut")
"""Faults after which two routers may run one turn: the second may ask again what was answered and forgotten
by the queue. Work that is cheap is then done again, and its answer dropped; paid work never is."""

B = TypeVar("B", bound=msgspec.Struct)


def problems(
    played: world.World, *, answered: bool = True, informed: bool = False, spare: int = 0
) -> list[str]:
    """Everything that is not as it must be.

    With `answered`, every turn must end in its first draft that can pass. With `informed`, every turn must
    know every line that stands before its message; otherwise one whose delivery was held up may be missing.
    `spare`: how often more the work of one id may be done because the broker gave it to two at once.
    """
    return [
        *_unquiet(played),
        *_miscounted(played),
        *_mistold(played, answered, informed),
        *_redone(played, spare),
        *_misremembered(played),
    ]


def _unquiet(played: world.World) -> Iterator[str]:
    if played.left:
        yield f"never quiet: {played.left}"
    for dead in played.server.stored("DEAD"):
        yield f"buried: {dead.data.decode()}"


def _miscounted(played: world.World) -> Iterator[str]:
    """One turn, one outcome, one say and one receipt for everybody who was spoken to, and no more."""
    wanted = sorted(_wanted(played))
    for what, found in (
        ("turns", _all(played, "TURNS", "turn.user", turn.Turn)),
        ("outcomes", _all(played, "RECORD", "evt.turn.ended", turn.Ended)),
        ("says", _all(played, "SAY", "say.console", message.Say)),
        ("receipts", _all(played, "RECORD", "evt.message.posted", message.Posted)),
    ):
        if (ids := sorted(id_ for id_, _ in found)) != wanted:
            yield f"{what} {ids} for the turns {wanted}"
    outcomes = len(_all(played, "RECORD", "evt.turn.ended", turn.Ended))
    if played.tallied != outcomes:
        yield f"tuning counted {played.tallied} of {outcomes} outcomes"


def _mistold(played: world.World, answered: bool, informed: bool) -> Iterator[str]:
    """What was recorded is said and posted, and it is an answer to what was heard."""
    outcomes = dict(_all(played, "RECORD", "evt.turn.ended", turn.Ended))
    says = dict(_all(played, "SAY", "say.console", message.Say))
    receipts = dict(_all(played, "RECORD", "evt.message.posted", message.Posted))
    given = dict(_all(played, "TURNS", "turn.user", turn.Turn))
    for id_, heard in _wanted(played).items():
        if id_ in outcomes and id_ in says and id_ in receipts:
            words = (outcomes[id_].text, says[id_].text, receipts[id_].text)
            if len(set(words)) > 1:
                yield f"turn {id_} recorded, said and posted different words: {words}"
        if id_ in outcomes:
            yield from _unanswered(outcomes[id_], heard, answered)
        if id_ in given:
            yield from _misinformed(played, given[id_], heard, informed)


def _unanswered(ended: turn.Ended, heard: message.Heard, answered: bool) -> Iterator[str]:
    """Only what passed the gate is an answer."""
    if ended.outcome == "answered":
        takes = range(cast.refusals(heard.text) + 1, ATTEMPTS + 1)
        passing = [cast.draft(ended.turn, take) for take in takes]
        if ended.text not in (passing[:1] if answered else passing):
            yield f"turn {ended.turn} was answered with {ended.text!r} instead of {passing[0]!r}"
    elif answered:
        yield f"turn {ended.turn} ended as {ended.outcome}: {ended.reason}"


def _misinformed(
    played: world.World, given: turn.Turn, heard: message.Heard, informed: bool
) -> Iterator[str]:
    """A turn is told what stands before its message in the record, in order, each line once."""
    before: list[str] = []
    for id_, channel, text in _lines(played):
        if id_ == heard.message:
            break
        if channel == heard.channel:
            before.append(text)
    told = [line.text for line in given.history]
    if told != (before if informed else [text for text in before if text in told]):
        yield f"turn {given.id} was told {told}; before it stands {before}"


def _redone(played: world.World, spare: int) -> Iterator[str]:
    """What is recorded is not begun again; work is done again only where a fault fell before the record."""
    unsure = any(fault.kind in UNSURE for fault in played.faults)
    for key in played.again:
        if key in played.paid or not unsure:
            yield f"{key} was recorded, and still begun again"
    for key, times in played.done.items():
        most = 1 + played.allowed[key] + played.server.gone.count(key) + spare
        if times > most and (key in played.paid or not unsure):
            yield f"{key} was done {times} times, at most {most} were needed"


def _misremembered(played: world.World) -> Iterator[str]:
    """Each channel's history is what the record has, each line once, in its order."""
    for channel, told in played.histories.items():
        lines = [text for _, place, text in _lines(played) if place == channel]
        if told != lines:
            yield f"the history of {channel} is {told}, the record has {lines}"


def _wanted(played: world.World) -> dict[str, message.Heard]:
    """Turn -> the message that it answers."""
    return {
        subjects.turn_id(heard.surface, heard.native, name, heard.revision): heard
        for heard in played.accepted
        for name in heard.to
    }


def _lines(played: world.World) -> Iterator[tuple[str, str, str]]:
    """Message id (or turn), channel and words of everything that was said, in the record's order."""
    for stored in played.server.stored("RECORD"):
        if stored.subject.startswith("evt.message.heard."):
            heard = base.decode(stored.data, message.Heard)
            yield heard.message, heard.channel, heard.text
        elif stored.subject.startswith("evt.message.posted."):
            posted = base.decode(stored.data, message.Posted)
            yield posted.turn, posted.channel, posted.text


def _all(played: world.World, stream: str, prefix: str, kind: type[B]) -> list[tuple[str, B]]:
    """Turn and body of everything stored under a prefix, however often."""
    return [
        (subjects.parse(stored.subject).turn, base.decode(stored.data, kind))
        for stored in played.server.stored(stream)
        if stored.subject.startswith(f"{prefix}.")
    ]
