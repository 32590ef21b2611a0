"""Reading a turn back from the record: its requests and replies put together, in the order they happened."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from typing import Literal

import msgspec

from svc.bus import api, broker, subjects
from svc.wire import base, envelope, record, turn

log = logging.getLogger(__name__)

STREAMS = ("TURNS", "PLANS", "RECORD", "LOG", "SAY", "DEAD")


async def messages(source: broker.Broker, turn_id: str) -> list[api.Message]:
    """See `api.Bus.messages`."""
    found: list[api.Message] = []
    for stream in STREAMS:
        found.extend(await source.latest(stream, [subjects.of_turn(turn_id)]))
    return sorted(found, key=lambda message: message.at)


async def turn_record(source: broker.Broker, turn_id: str) -> record.TurnRecord:
    """See `api.Bus.turn_record`."""
    return assemble(turn_id, await messages(source, turn_id))


def assemble(turn_id: str, stored: list[api.Message]) -> record.TurnRecord:
    """Put a turn's messages together; pure, so it also works on an exported turn.

    Anybody may have written under its id: what is none of ours is left out, or shown as unreadable.
    """
    parsed = list(_parsed(stored))
    if not parsed:
        return record.TurnRecord(turn=turn_id, found=False)
    started = min((m.at for s, m in parsed if s.kind in ("turn", "later")), default=stored[0].at)
    replies = {(s.a, s.b, s.n): m for s, m in parsed if s.kind == "rep"}
    requests = {(s.a, s.b, s.n): m for s, m in parsed if s.kind == "log"}
    steps = [
        _step(key, request=requests.get(key), reply=replies.get(key), started=started)
        for key in requests.keys() | replies.keys()
    ]
    steps += [_burial(s, m, started) for s, m in parsed if s.kind == "dead"]
    outcome = next((m for s, m in parsed if (s.kind, s.a, s.b) == ("evt", "turn", "ended")), None)
    ended = _ended(outcome) if outcome else None
    return record.TurnRecord(
        turn=turn_id,
        found=True,
        steps=tuple(sorted(steps, key=lambda step: step.start_ms)),
        ended=ended,
        posted=sum((s.kind, s.a, s.b) == ("evt", "message", "posted") for s, _ in parsed),
        total_ms=_ms((outcome or stored[-1]).at - started),
    )


def _parsed(stored: list[api.Message]) -> Iterator[tuple[subjects.Subject, api.Message]]:
    for message in stored:
        with contextlib.suppress(ValueError):
            yield subjects.parse(message.subject), message


def _ended(outcome: api.Message) -> turn.Ended | None:
    try:
        return base.decode(outcome.data, turn.Ended)
    except msgspec.MsgspecError as error:
        log.warning("%s in the record is no outcome: %s", outcome.subject, error)
        return None


def _reply(data: bytes) -> envelope.Reply:
    try:
        return base.decode(data, envelope.Reply)
    except msgspec.MsgspecError as error:
        return envelope.Reply(refusal=envelope.Refusal(code="bad_reply", message=str(error)))


def shown(data: bytes | msgspec.Raw) -> msgspec.Raw:
    """As it is, if it is JSON; else as a text, so that what it is shown in stays JSON."""
    try:
        msgspec.json.decode(data)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return msgspec.Raw(base.encode(bytes(data).decode(errors="replace")))
    return msgspec.Raw(data)


def _step(
    key: tuple[str, str, str], *, request: api.Message | None, reply: api.Message | None, started: float
) -> record.Step:
    service, method, n = key
    first = request or reply
    if first is None:
        raise ValueError(f"{key}: a step needs a request or a reply")
    answer = _reply(reply.data) if reply else None
    result = msgspec.Raw(b"null")
    if answer is not None and not isinstance(answer.result, msgspec.UnsetType):
        result = answer.result
    return record.Step(
        service=service,
        method=method,
        n=n,
        start_ms=_ms(first.at - started),
        waited_ms=answer.waited_ms if answer else 0.0,
        ms=answer.ms if answer else 0.0,
        total_ms=_ms(reply.at - first.at) if reply else 0.0,
        status=_status(answer),
        detail=_detail(method, answer),
        request=shown(request.data) if request else msgspec.Raw(b"null"),
        reply=shown(result),
    )


def _status(answer: envelope.Reply | None) -> Literal["done", "degraded", "refused", "running"]:
    if answer is None:
        return "running"
    if answer.stand_in:
        return "degraded"
    return "done" if isinstance(answer.refusal, msgspec.UnsetType) else "refused"


def _burial(subject: subjects.Subject, message: api.Message, started: float) -> record.Step:
    """A message of the turn that nobody could handle."""
    try:
        reason = base.decode(message.data, envelope.Dead).reason
    except msgspec.MsgspecError as error:
        reason = f"not a letter of ours: {error}"
    return record.Step(
        service=subject.b,
        method="buried",
        n=subject.n,
        start_ms=_ms(message.at - started),
        status="refused",
        detail=reason,
    )


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 2)


def _detail(method: str, answer: envelope.Reply | None) -> str:
    """One line about what came back, from fields that several services share."""
    if answer is None:
        return "no reply recorded"
    if answer.stand_in:
        return f"{answer.stand_in}: {answer.reason}".rstrip(": ")
    if not isinstance(answer.refusal, msgspec.UnsetType):
        return f"{answer.refusal.code}: {answer.refusal.message}".rstrip(": ")
    if isinstance(answer.result, msgspec.UnsetType):
        return ""
    try:
        result: dict[str, object] = msgspec.json.decode(answer.result)
        describe = DETAILS.get(method)
        line = describe(result) if describe else ""
        return f"{line} (cached)".strip() if result.get("cached") else line
    except (msgspec.MsgspecError, AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        return f"unreadable: {error}"


def _generated(result: dict[str, object]) -> str:
    candidates = result.get("candidates")
    count = len(candidates) if isinstance(candidates, list) else 0
    return f"{count} drafts by {result.get('model', '?')}, prompt {result.get('prompt_tokens', '?')} tokens"


def _assessed(result: dict[str, object]) -> str:
    verdicts, best = result.get("verdicts"), result.get("best", 0)
    if not isinstance(verdicts, list) or not isinstance(best, int) or best >= len(verdicts):
        return ""
    verdict = verdicts[best]
    word = "passed" if verdict.get("accepted") else "refused"
    reason = f": {verdict['reason']}" if verdict.get("reason") else ""
    return f"{word} {verdict.get('score', 0):.1f} of {verdict.get('threshold', 0):g}{reason}"


def _searched(result: dict[str, object]) -> str:
    passages = result.get("passages")
    if not isinstance(passages, list) or not passages:
        return "nothing relevant"
    return ", ".join(str(passage.get("title", "?")) for passage in passages)


def _advised(result: dict[str, object]) -> str:
    return f"arm {result.get('arm', 'base')}"


DETAILS = {
    "generate": _generated,
    "banter": _generated,
    "assess": _assessed,
    "search": _searched,
    "advise": _advised,
}
