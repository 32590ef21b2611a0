"""Dead letters: what was buried in DEAD, read, stored again for another try, or dropped.

People name a letter by its number, which is its place in the stream. What another try means depends on the
kind of the message. A request gets a new `<n>`, since its old one has a recorded answer: the refusal
`buried`. Everything else is stored again under its own subject, as what follows from it is once per id; it
keeps the place and the time at which it was stored first, and says that it may have been worked on before.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import dataclasses
import re
from collections.abc import AsyncIterator, Mapping

import msgspec

from svc.bus import api, broker, errors, limits, middleware, streams, subjects, trace
from svc.wire import base, envelope, message, turn

STREAM = "DEAD"
AGAIN = ("turn", "say", "evt")
"""Kinds that are stored again under their own subject."""
RETRIES_MAX = 99
"""Of one request; a person who tried this often should look into the reason."""
RETRIED = re.compile(r"-r[0-9]{1,2}$")


@dataclasses.dataclass(frozen=True, slots=True)
class Letter:
    number: int
    """Its sequence in DEAD: what people call it by."""
    buried_at: float
    """Unix seconds, the broker's clock."""
    dead: envelope.Dead


@dataclasses.dataclass(frozen=True, slots=True)
class Retried:
    """What became of a letter that was tried again; the letter is removed."""

    number: int
    subject: str
    """Where the message is stored now."""
    answer: str = ""
    """Where its answer will be recorded, for a request."""
    note: str = ""
    """What a person should know about it, in one sentence."""


async def letters(bus: api.Bus) -> AsyncIterator[Letter]:
    """All of them, oldest first."""
    async for stored in bus.scan(STREAM, ("dead.>",)):
        yield _letter(stored)


async def count(source: broker.Broker) -> int:
    return await source.depth(STREAM)


async def find(source: broker.Broker, number: int) -> Letter:
    """Raises Refused `unknown_letter`."""
    stored = await source.read(STREAM, number) if number > 0 else None
    if stored is None:
        raise errors.Refused(
            "unknown_letter", f"there is no dead letter #{number}: `quahog dead list` shows those there are"
        )
    return _letter(stored)


async def drop(source: broker.Broker, number: int) -> None:
    """Remove a letter for good. Raises Refused `unknown_letter`."""
    await find(source, number)
    await source.delete(STREAM, number)


async def retry(source: broker.Broker, number: int) -> Retried:
    """Store the message of a letter again, then remove the letter: if it fails again, it gets a new number.

    Killed in between, it leaves the letter: trying that again changes nothing that was done. Raises Refused
    for a letter that is unknown or not ours, whose body is lost, or whose turn has ended; NotAccepted,
    Overloaded.
    """
    letter = await find(source, number)
    try:
        subject = subjects.parse(letter.dead.subject)
    except ValueError:
        raise _alien(letter) from None
    if subject.kind == "req":
        done = await _ask_again(source, letter, subject)
    elif subject.kind in AGAIN and streams.stream_of(letter.dead.subject):
        done = await _store_again(source, letter, subject)
    else:
        raise _alien(letter)
    await source.delete(STREAM, number)
    return done


async def _ask_again(source: broker.Broker, letter: Letter, subject: subjects.Subject) -> Retried:
    """A request: under the first `<n>-r<k>` that has neither an answer nor a place in the queue."""
    body, headers = await _body(source, letter), _trace(letter)
    for k in range(1, RETRIES_MAX + 1):
        suffix = f"-r{k}"
        n = RETRIED.sub("", subject.n)[: subjects.TOKEN_CHARS_MAX - len(suffix)] + suffix
        asked = subjects.request(subject.a, subject.b, subject.turn, n)
        answer = subjects.reply_of(asked)
        if await source.last(answer) is not None:
            continue
        try:
            await source.append(asked, body, headers)
        except errors.AlreadyRecorded:
            continue
        return Retried(letter.number, asked, answer=answer)
    raise errors.Refused(
        "retried_too_often", f"#{letter.number} was tried {RETRIES_MAX} times: `quahog dead drop` removes it"
    )


async def _store_again(source: broker.Broker, letter: Letter, subject: subjects.Subject) -> Retried:
    """A turn, an event, an answer to post: its consumer gets it once more."""
    if subject.kind == "turn" and await source.last(subjects.event("turn", "ended", subject.turn)):
        raise errors.Refused(
            "turn_has_ended",
            f"#{letter.number}: turn {subject.turn} has its outcome (`quahog turn {subject.turn}` shows it) "
            "and is not run again: ask again, and `quahog dead drop` the letter",
        )
    body = await _body(source, letter)
    headers = _trace(letter) | {broker.REPEATED: "1"}
    if letter.dead.sequence > 0:
        headers |= {
            api.FIRST_SEQUENCE: str(letter.dead.sequence),
            api.FIRST_AT: str(round(letter.dead.stored_at * 1000)),
        }
    await source.append(letter.dead.subject, body, headers, expect=None)
    return Retried(letter.number, letter.dead.subject, note=_expired(subject, body, source.now()))


def _trace(letter: Letter) -> dict[str, str]:
    """The one header of the original worth keeping: its deadline is over, and others command the broker."""
    given = trace.given(letter.dead.headers)
    return {broker.TRACEPARENT: given} if given else {}


def _expired(subject: subjects.Subject, body: bytes, now: float) -> str:
    """What to expect of a message that says itself until when it is wanted."""
    kinds: Mapping[str, type[turn.Turn | message.Say]] = {"turn": turn.Turn, "say": message.Say}
    kind = kinds.get(subject.kind)
    try:
        until = base.decode(body, kind).expires_at if kind else 0.0
    except msgspec.MsgspecError:
        return "its body is wrong, so it will be buried again"
    if 0 < until < now:
        ends = "ends as expired" if subject.kind == "turn" else "is recorded as undelivered"
        return f"nobody has wanted it for {now - until:.0f} s: it {ends}"
    return ""


async def _body(source: broker.Broker, letter: Letter) -> bytes:
    """The original body: from the letter, or from the stream that still has it when the letter's is cut."""
    body = letter.dead.body
    if not body.endswith(middleware.CUT):
        return _bytes(body)
    original = await _original(source, letter.dead)
    if original is None:
        raise errors.Refused(
            "body_lost",
            f"#{letter.number} holds only the beginning of its long body, and the record no longer has the "
            "original: `quahog dead drop` removes it",
        )
    return original.data


async def _original(source: broker.Broker, dead: envelope.Dead) -> api.Message | None:
    """As it was stored: in its place, or the copy of a request in the record."""
    if dead.subject.startswith("req."):
        return await source.last(subjects.log_of(dead.subject))
    if dead.stream in streams.BY_NAME and dead.sequence > 0:
        stored = await source.read(dead.stream, dead.sequence)
        return stored if stored and stored.subject == dead.subject else None
    return await source.last(dead.subject)


def _bytes(body: str) -> bytes:
    """What `middleware.bury` made this text of."""
    if body.startswith(middleware.BASE64):
        with contextlib.suppress(binascii.Error):  # only a forged one
            return base64.b64decode(body.removeprefix(middleware.BASE64), validate=True)
    return body.encode()


def _letter(stored: api.Message) -> Letter:
    """Anybody may write to DEAD: what is no letter can still be shown, and dropped."""
    try:
        dead = base.decode(stored.data, envelope.Dead)
    except msgspec.MsgspecError as error:
        reason = f"not a letter of ours: {error}"
        body = stored.data[: limits.BODY_BYTES_MAX].decode(errors="replace")
        dead = envelope.Dead(
            subject=stored.subject, stream="", reason=reason, deliveries=0, at=stored.at, body=body
        )
    return Letter(stored.sequence, stored.at, dead)


def _alien(letter: Letter) -> errors.Refused:
    return errors.Refused(
        "alien",
        f"#{letter.number} came under {letter.dead.subject!r}, which nobody handles, so there is nothing to "
        "try again: `quahog dead drop` removes it",
    )
