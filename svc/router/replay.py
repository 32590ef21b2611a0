"""Running a recorded turn again: the router's logic as it is now, on the replies as they were.

No model is asked and nothing costs anything. The course is handed the recorded replies and notes as a router
is that takes over a turn, and every request it would make is compared with the one that was made. Chosen
services may be asked *for real* instead: in a sandbox, a turn id of its own under which no turn, no outcome
and nothing to say is ever published, so nothing can be posted.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from typing import Protocol

import msgspec

from svc import errors
from svc.bus import calls, limits, subjects
from svc.router import breaker, course, notes, settings, steps, tape
from svc.wire import base, envelope, llm, quality, turn

LIVE = ("characters", "retriever", "tuning", "llm", "quality")
"""Services that may be asked for real."""
SANDBOX = "replay"
"""Turn ids of the sandbox begin with this."""
Ended = turn.Ended
Edit = Callable[[bytes, msgspec.Struct], msgspec.Struct]
"""The recorded request and the recorded result in, another result out."""
Edits = Mapping[tuple[str, str], tuple[type[msgspec.Struct], Edit]]
"""(service, method) -> type of the result, and how it is changed."""


class Unrecorded(errors.QuahogError):
    """The course went where the recorded one never was."""


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One step, as it was and as it would be now."""

    service: str
    method: str
    n: str
    same: bool
    """Whether the request is the same, byte for byte."""
    live: bool
    """Whether it was asked for real."""
    before: msgspec.Raw
    """The recorded request; `null` where none is on the record."""
    now: msgspec.Raw
    """`null` where the course doesn't ask this any more."""
    reply_before: msgspec.Raw
    reply_now: msgspec.Raw


class Replay(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it."""

    turn: str
    identical: bool
    """Every request and the outcome are the same, byte for byte."""
    before: Ended
    now: Ended | None
    """None when it could not be run to its end."""
    stopped: str
    """Why not."""
    steps: tuple[Step, ...]


class Bus(Protocol):
    """What the sandbox needs of `api.Bus`."""

    async def call(
        self,
        service: str,
        method: str,
        request: msgspec.Struct,
        response: type[steps.R],
        *,
        turn: str,
        n: int | str = 0,
        within_s: float = limits.TURN_S,
    ) -> steps.R: ...


def sandbox_id(turn_id: str) -> str:
    """A turn id that nobody else uses."""
    return f"{SANDBOX}-{turn_id[:32]}-{secrets.token_hex(4)}"


class Sandbox:
    """The bus of a replayed course. Implements `steps.Bus`; has no way to publish anything."""

    def __init__(self, turn_id: str, live: frozenset[str], bus: Bus | None) -> None:
        self._id = sandbox_id(turn_id)
        self._live = live
        self._bus = bus
        self.answers: dict[str, msgspec.Struct] = {}
        """Reply subject of the recorded turn -> what came back for real."""

    async def call(
        self,
        service: str,
        method: str,
        request: msgspec.Struct,
        response: type[steps.R],
        *,
        turn: str,
        n: int | str = 0,
        within_s: float = limits.TURN_S,
    ) -> steps.R:
        if self._bus is None or service not in self._live:
            hint = f"add {service} to --live to ask for real" if service in LIVE else "it can't go on"
            raise Unrecorded(f"{service}.{method} {n} was never asked in this turn: {hint}")
        asked = fresh(request)
        answer = await self._bus.call(
            service, method, asked, response, turn=self._id, n=n, within_s=limits.TURN_S
        )
        self.answers[subjects.reply(service, method, turn, n)] = answer
        return answer

    async def settle(self, subject: str, reply: envelope.Reply) -> envelope.Reply:
        """Nothing is recorded: the course goes on with what it settled for."""
        return reply


def fresh(request: msgspec.Struct) -> msgspec.Struct:
    """The same request past the caches: to be asked for real is to be asked anew."""
    if isinstance(request, (llm.GenerateRequest, quality.AssessRequest)):
        return msgspec.structs.replace(request, fresh=True)
    return request


class Remembered:
    """The reply cache as the turn found it. Implements `course.Replies`."""

    def __init__(self, ended: turn.Ended) -> None:
        self._ended = ended

    async def get(self, key: str, kind: type[turn.Ended]) -> turn.Ended | None:
        return self._ended if self._ended.cached else None

    async def set(self, key: str, value: object) -> None:
        """A replay leaves nothing behind."""


class Unloaded:
    """Nobody else is about. Implements `course.Load` for what a replay meets for the first time."""

    async def waiting(self) -> int:
        return 0

    async def may_say_busy(self, turn_: turn.Turn) -> bool:
        return True


async def run(
    recorded: tape.Tape,
    options: settings.Settings,
    *,
    live: frozenset[str] = frozenset(),
    bus: Bus | None = None,
    edits: Edits | None = None,
) -> Replay:
    """Run a turn's course again. May run any number of times; leaves nothing behind.

    `bus` is needed for `live` services only. Raises Refused for an edit that can't be made.
    """
    scope = calls.Scope(recorded.turn.id)
    replies = _edited(recorded, edits or {})
    for subject, data in replies.items():
        if subjects.parse(subject).a not in live:
            scope.learn(subject, data)
    asked: dict[str, bytes] = {}

    def watch(subject: str, request: msgspec.Struct) -> None:
        asked[subject] = base.encode(request)

    sandbox = Sandbox(recorded.turn.id, live, bus)
    made = steps.Steps(sandbox, breaker.Breakers(), scope, watch, _at_once)
    again = course.Course(Remembered(recorded.ended), Unloaded(), options)
    now, stopped = None, ""
    try:
        now = await again.run(recorded.turn, recorded.stored_at, made, notes.Notes(recorded.ended.noted))
    except Exception as error:
        stopped = _why(error)
    found = _compared(recorded, replies, asked, sandbox)
    same = now is not None and base.encode(now) == recorded.recorded
    return Replay(
        turn=recorded.turn.id,
        identical=same and all(step.same for step in found),
        before=recorded.ended,
        now=now,
        stopped=stopped,
        steps=found,
    )


async def _at_once(_seconds: float) -> None:
    """A replay waits for nothing."""


def _why(error: Exception) -> str:
    """The first of several errors says enough."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return str(error) or type(error).__name__


def _edited(recorded: tape.Tape, edits: Edits) -> dict[str, bytes]:
    """The recorded replies with the what-ifs in them."""
    replies = dict(recorded.replies)
    for subject, data in recorded.replies.items():
        parsed = subjects.parse(subject)
        if (found := edits.get((parsed.a, parsed.b))) is None:
            continue
        kind, edit = found
        reply = calls.reply_in(data)
        if not isinstance(reply.refusal, msgspec.UnsetType):
            continue
        result = edit(recorded.requests.get(subject, NOTHING), calls.result(reply, kind))
        replies[subject] = base.encode(
            msgspec.structs.replace(reply, result=msgspec.Raw(base.encode(result)))
        )
    return replies


NOTHING = b"null"


def _compared(
    recorded: tape.Tape, replies: Mapping[str, bytes], asked: Mapping[str, bytes], sandbox: Sandbox
) -> tuple[Step, ...]:
    """Every step that was asked then or would be now: the recorded ones first, in their order."""
    found = []
    for subject in dict.fromkeys([*recorded.requests, *asked]):
        parsed = subjects.parse(subject)
        before, now = recorded.requests.get(subject), asked.get(subject)
        live = sandbox.answers.get(subject)
        # LOG may lose its tail when the broker is killed: a reply whose request is gone proves nothing.
        lost = before is None and subject in recorded.replies
        reply_now = base.encode(live) if live is not None else _result(replies.get(subject))
        found.append(
            Step(
                service=parsed.a,
                method=parsed.b,
                n=parsed.n,
                same=before == now or lost,
                live=live is not None,
                before=msgspec.Raw(before or NOTHING),
                now=msgspec.Raw(now or NOTHING),
                reply_before=msgspec.Raw(_result(recorded.replies.get(subject))),
                reply_now=msgspec.Raw(reply_now if now is not None else NOTHING),
            )
        )
    return tuple(found)


def _result(reply: bytes | None) -> bytes:
    """What a recorded reply carries, or its refusal."""
    if reply is None:
        return NOTHING
    found = calls.reply_in(reply)
    if not isinstance(found.refusal, msgspec.UnsetType):
        return base.encode(found.refusal)
    return NOTHING if isinstance(found.result, msgspec.UnsetType) else bytes(found.result)
