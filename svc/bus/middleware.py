"""What happens around a handler, one idea a function. Their order is one line in `chain_for_answer` and in
`chain_for_listen`; read it from the inside out.
"""

from __future__ import annotations

import base64
import contextlib
import itertools
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import anyio
import msgspec

from svc.bus import broker, errors, job, limits, service, status, subjects, suspect
from svc.wire import base, envelope

log = logging.getLogger(__name__)

T = TypeVar("T")
Work = Callable[[broker.Delivery, job.Job], Awaitable[T]]
Outcome = envelope.Refusal | None
"""None = done; otherwise the recorded answer was no."""
REASON_CHARS_MAX = 1_000
DEAD_CHARS_MAX = limits.BODY_BYTES_MAX // 12
"""Kept of a body whose dead letter would be too large: a character becomes up to six bytes of JSON."""
HEADERS_MAX, HEADER_CHARS_MAX = 32, 256
"""Kept of its headers then: more than we ever set."""
CUT = "… (cut)"
BASE64 = "base64:"
BURIED = "buried"
"""The code of the refusal whose message lies in DEAD."""
RETRIED = (errors.NotAccepted, errors.Overloaded, errors.NoReply)
"""Trouble of the bus, not of the message: the message is worth another delivery."""


def chain_for_answer(
    source: broker.Broker, instance: str, answer: service.Answer[Any, Any], tally: status.Tally
) -> Work[None]:
    """Decode and answer, within the deadline; bury what fails; record the reply; count and log."""
    inner = buried(source, bounded(answered(answer)), refusals=False)
    return counted(tally, recorded(source, instance, inner, paid=answer.paid))


def chain_for_listen(
    source: broker.Broker, suspects: suspect.Suspects, listen: service.Listen[Any], tally: status.Tally
) -> Work[None]:
    """Decode and handle, within the deadline; bury what fails, with last words; watch; count and log."""
    inner = mourned(listen, buried(source, bounded(heard(listen)), refusals=True))
    return counted(tally, quiet(suspected(suspects, listen.consumer, inner)))


def answered(answer: service.Answer[Any, Any]) -> Work[envelope.Reply]:
    """The handler itself: bytes in, reply out."""

    async def work(delivery: broker.Delivery, job_: job.Job) -> envelope.Reply:
        request = _decode(delivery.message.data, answer.request)
        result = await answer.handler(request, job_)
        return envelope.Reply(result=msgspec.Raw(base.encode(result)))

    return work


def heard(listen: service.Listen[Any]) -> Work[envelope.Reply]:
    """The handler of something nobody waits for; its reply is empty."""

    async def work(delivery: broker.Delivery, job_: job.Job) -> envelope.Reply:
        await listen.handler(_decode(delivery.message.data, listen.body), job_)
        return envelope.Reply()

    return work


def bounded(inner: Work[envelope.Reply]) -> Work[envelope.Reply]:
    """Cancel the work at its deadline; don't even start what is late."""

    async def work(delivery: broker.Delivery, job_: job.Job) -> envelope.Reply:
        left = job_.left_s()
        if left > 0:
            with anyio.move_on_after(left):
                return await inner(delivery, job_)
        raise errors.Refused("deadline_passed", "the caller no longer waits for this")

    return work


def buried(source: broker.Broker, inner: Work[envelope.Reply], *, refusals: bool) -> Work[envelope.Reply]:
    """Turn a refusal into a reply, and a failure into a dead letter and a reply.

    With `refusals` a refusal is a failure: nobody waits for the reply, and nothing vanishes. Raises Retry
    when the message deserves another delivery and has some left.
    """

    async def work(delivery: broker.Delivery, job_: job.Job) -> envelope.Reply:
        try:
            if delivery.deliveries > job_.deliveries_max:
                raise PoisonError(f"delivered {delivery.deliveries} times without an answer")
            if job_.crashes >= limits.DELIVERIES_MAX:
                raise PoisonError(f"{job_.crashes} processes ended or hung while they worked on it")
            return await inner(delivery, job_)
        except Exception as raised:
            error = _leaf(raised)
            if isinstance(error, errors.Refused) and not refusals:
                return envelope.Reply(refusal=envelope.Refusal(code=error.code, message=error.message))
            again = isinstance(error, (errors.Retry, *RETRIED))
            if again and delivery.deliveries < job_.deliveries_max:
                raise errors.Retry(str(error), getattr(error, "after_s", 1.0)) from error
            return await bury(source, delivery, error)

    return work


def mourned(listen: service.Listen[Any], inner: Work[envelope.Reply]) -> Work[envelope.Reply]:
    """Let the listener say the last words about a buried message, before it is acked.

    Raises Retry when they could not be said now and the message may come back: better twice than never.
    Words that kill who says them too are left unsaid in the end.
    """

    async def work(delivery: broker.Delivery, job_: job.Job) -> envelope.Reply:
        reply = await inner(delivery, job_)
        refusal = reply.refusal
        if listen.buried is None or isinstance(refusal, msgspec.UnsetType) or refusal.code != BURIED:
            return reply
        try:
            body = base.decode(delivery.message.data, listen.body)
        except msgspec.MsgspecError:
            return reply  # nobody can tell what it was about
        if job_.crashes >= 2 * limits.DELIVERIES_MAX:
            log.error("%s was buried without last words", delivery.message.subject)
            return reply
        try:
            with anyio.fail_after(limits.LAST_WORDS_S):
                await listen.buried(body, job_, refusal.message)
        except Exception as raised:
            error = _leaf(raised)
            again = isinstance(error, (errors.Retry, *RETRIED, TimeoutError))
            if again and delivery.deliveries < job_.deliveries_max + limits.DELIVERIES_MAX:
                raise errors.Retry(f"no last words yet: {error}", getattr(error, "after_s", 1.0)) from error
            log.exception("%s was buried without last words", delivery.message.subject)
        return reply

    return work


def suspected(suspects: suspect.Suspects, consumer: str, inner: Work[envelope.Reply]) -> Work[envelope.Reply]:
    """Sign for what was delivered several times, so that crashes are told from messages given back."""

    async def work(delivery: broker.Delivery, job_: job.Job) -> envelope.Reply:
        if delivery.deliveries <= limits.TRUSTED_DELIVERIES:
            return await inner(delivery, job_)
        job_.crashes = await suspects.begin(consumer, delivery)
        survived = False
        try:
            reply = await inner(delivery, job_)
            survived = True
            return reply
        except errors.BusError:
            # Given back: nobody died of it. But poison that could not be buried right now is poison still.
            survived = job_.crashes < limits.DELIVERIES_MAX
            raise
        finally:
            await suspects.end(consumer, delivery, survived=survived)

    return work


def _leaf(error: Exception) -> Exception:
    """The one error that counts inside nested groups, which task groups make of what their tasks raised.

    A crash counts more than a refusal, and that more than trouble of the bus, which may have struck several
    tasks at once.
    """
    if not isinstance(error, ExceptionGroup):
        return error

    def weight(leaf: Exception) -> int:
        return (
            1 if isinstance(leaf, errors.Refused) else 0 if isinstance(leaf, (errors.Retry, *RETRIED)) else 2
        )

    return max((_leaf(one) for one in error.exceptions), key=weight)


def recorded(
    source: broker.Broker, instance: str, inner: Work[envelope.Reply], *, paid: bool
) -> Work[Outcome]:
    """Answer from the record when there is one; else record the reply, once, before the message is acked."""

    async def work(delivery: broker.Delivery, job_: job.Job) -> Outcome:
        wanted = subjects.reply_of(delivery.message.subject)
        if (paid or job_.maybe_repeated()) and await _announce(source, wanted):
            return None
        started = time.perf_counter()
        waited_ms = max(0.0, (job_.now() - delivery.message.at) * 1000)
        reply = await inner(delivery, job_)
        reply = msgspec.structs.replace(
            reply,
            ms=round((time.perf_counter() - started) * 1000, 3),
            waited_ms=round(waited_ms, 3),
            instance=instance,
            deliveries=delivery.deliveries,
        )
        headers = {broker.TRACEPARENT: job_.traceparent} if job_.traceparent else {}
        body = base.encode(reply)
        if len(body) > limits.BODY_BYTES_MAX:
            message = f"the reply has {len(body)} bytes, more than {limits.BODY_BYTES_MAX}"
            reply = envelope.Reply(refusal=envelope.Refusal(code="reply_too_large", message=message))
            body = base.encode(reply)
        try:
            await source.append(wanted, body, headers)
        except errors.AlreadyRecorded:
            # Somebody else was faster, or an earlier try of ours was stored after all: that one counts.
            await _announce(source, wanted)
        return _outcome(reply)

    return work


async def _announce(source: broker.Broker, subject: str) -> bool:
    """Tell waiting callers about a reply recorded earlier; False when there is none."""
    stored = await source.last(subject)
    if stored is None:
        return False
    await source.cast(subjects.got_of(subject), stored.data)
    return True


def quiet(inner: Work[envelope.Reply]) -> Work[Outcome]:
    """Nobody waits for a reply: a refusal is only counted and logged."""

    async def work(delivery: broker.Delivery, job_: job.Job) -> Outcome:
        return _outcome(await inner(delivery, job_))

    return work


def _outcome(reply: envelope.Reply) -> Outcome:
    return None if isinstance(reply.refusal, msgspec.UnsetType) else reply.refusal


def counted(tally: status.Tally, inner: Work[Outcome]) -> Work[None]:
    """Count, time and log; passes Retry on."""

    async def work(delivery: broker.Delivery, job_: job.Job) -> None:
        started, error = time.perf_counter(), ""
        try:
            if refusal := await inner(delivery, job_):
                error = f"{refusal.code}: {refusal.message}"
        except Exception as failure:
            error = f"{type(failure).__name__}: {failure}"
            raise
        finally:
            ms = (time.perf_counter() - started) * 1000
            tally.count(ms, error)
            level = logging.WARNING if error else logging.DEBUG
            if log.isEnabledFor(level):
                extra = {
                    "subject": delivery.message.subject,
                    "turn": job_.subject.turn,
                    "ms": round(ms, 2),
                    "deliveries": delivery.deliveries,
                }
                log.log(level, error or "done", extra=extra)

    return work


class PoisonError(errors.BusError):
    """A message that kills or hangs whoever takes it."""


def _decode(data: bytes, kind: type[T]) -> T:
    try:
        return base.decode(data, kind)
    except msgspec.MsgspecError as error:
        raise errors.Refused("bad_request", f"the body is not a {kind.__name__}: {error}") from None


async def bury(source: broker.Broker, delivery: broker.Delivery, error: Exception) -> envelope.Reply:
    """Put a message into DEAD with the reason; returns the refusal its caller gets. May run twice."""
    message = delivery.message
    reason = f"{type(error).__name__}: {error}"[:REASON_CHARS_MAX]
    log.error("buried %s: %s", message.subject, reason, exc_info=error)
    body = _text(message.data)
    dead = envelope.Dead(
        subject=message.subject,
        stream=message.stream,
        reason=reason,
        deliveries=delivery.deliveries,
        at=source.now(),
        headers=dict(message.headers),
        body=body,
        sequence=message.first_sequence,
        stored_at=message.first_at,
    )
    if len(base.encode(dead)) > limits.BODY_BYTES_MAX:
        kept = {name[:HEADER_CHARS_MAX]: value[:HEADER_CHARS_MAX] for name, value in dead.headers.items()}
        kept = dict(itertools.islice(kept.items(), HEADERS_MAX))
        dead = msgspec.structs.replace(dead, body=body[:DEAD_CHARS_MAX] + CUT, headers=kept)
    try:
        await source.append(dead_subject(message.subject, message.sequence), base.encode(dead), {})
    except errors.AlreadyRecorded:
        log.debug("%s was buried before", message.subject)
    return envelope.Reply(refusal=envelope.Refusal(code=BURIED, message=reason))


def _text(data: bytes) -> str:
    """As it is where that is text, and can't be taken for the other."""
    with contextlib.suppress(UnicodeDecodeError):
        if not (text := data.decode()).startswith(BASE64):
            return text
    return BASE64 + base64.b64encode(data).decode()


def dead_subject(subject: str, sequence: int) -> str:
    """`dead.<kind>.<service>.<turn>.<n>`; a subject that isn't ours is buried under its hash."""
    try:
        parsed = subjects.parse(subject)
    except ValueError:
        return subjects.dead("alien", "unknown", subjects.short_hash(subject), sequence)
    place = f"-{sequence}"
    return subjects.dead(
        parsed.kind, parsed.a, parsed.turn, parsed.n[: subjects.TOKEN_CHARS_MAX - len(place)] + place
    )
