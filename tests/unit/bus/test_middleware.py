"""What happens around a handler, one delivery at a time, over the broker in memory."""

from __future__ import annotations

import base64
import time
from collections.abc import Awaitable, Callable

import anyio
import msgspec
import pytest

from svc.bus import (
    api,
    broker,
    connection,
    errors,
    job,
    limits,
    memory,
    middleware,
    service,
    status,
    subjects,
    suspect,
)
from svc.wire import base, envelope, tuning, turn

pytestmark = pytest.mark.anyio

SUBJECT = subjects.request("tuning", "advise", "t1", 2)
REPLY = subjects.reply("tuning", "advise", "t1", 2)
BODY = base.encode(tuning.AdviseRequest(character="peter"))
Handler = Callable[[tuning.AdviseRequest, job.Job], Awaitable[tuning.Advice]]


class Desk:
    """One process around a handler; `deliver` hands it one message as the broker would."""

    def __init__(self, handler: Handler | None = None) -> None:
        self.source = memory.Memory()
        self.tally = status.Tally()
        self.calls = 0
        self._handler = handler
        answer = service.Answer("advise", tuning.AdviseRequest, tuning.Advice, self._advise)
        self.chain = middleware.chain_for_answer(self.source, "here", answer, self.tally)
        self.bus = connection.Connection(self.source, "here")

    async def _advise(self, request: tuning.AdviseRequest, job_: job.Job) -> tuning.Advice:
        self.calls += 1
        return await self._handler(request, job_) if self._handler else tuning.Advice(arm="mine")

    async def deliver(
        self,
        data: bytes = BODY,
        *,
        subject: str = SUBJECT,
        deliveries: int = 1,
        left_s: float = 5.0,
        at: float | None = None,
    ) -> None:
        stored_at = time.time() if at is None else at
        message = api.Message(subject, data, {"traceparent": "x"}, "WORK_tuning", 7, stored_at)
        circumstances = job.Job(
            bus=self.bus,
            subject=subjects.parse(SUBJECT),
            deadline=time.time() + left_s,
            stored_at=stored_at,
            sequence=7,
            deliveries=deliveries,
            traceparent="00-trace",
        )
        await self.chain(broker.Delivery(message, deliveries, "token"), circumstances)

    async def reply(self) -> envelope.Reply | None:
        stored = await self.source.last(REPLY)
        return base.decode(stored.data, envelope.Reply) if stored else None

    async def refusal(self) -> envelope.Refusal:
        reply = await self.reply()
        assert reply is not None
        assert isinstance(reply.refusal, envelope.Refusal)
        return reply.refusal

    async def dead(self) -> list[envelope.Dead]:
        stored = await self.source.latest("DEAD", ["dead.>"])
        return [base.decode(message.data, envelope.Dead) for message in stored]


def raising(error: Exception) -> Handler:
    async def advise(_request: tuning.AdviseRequest, _job: job.Job) -> tuning.Advice:
        raise error

    return advise


async def test_done_is_recorded_with_its_circumstances() -> None:
    desk = Desk()
    await desk.deliver(at=time.time() - 0.5)
    reply = await desk.reply()
    assert reply is not None
    assert isinstance(reply.result, msgspec.Raw)
    assert base.decode(reply.result, tuning.Advice).arm == "mine"
    assert (reply.instance, reply.deliveries) == ("here", 1)
    assert 450 < reply.waited_ms < 3_000
    stored = await desk.source.last(REPLY)
    assert stored is not None
    assert stored.headers == {broker.TRACEPARENT: "00-trace"}
    assert (desk.tally.requests, desk.tally.failures) == (1, 0)


@pytest.mark.parametrize("left_s", [-1.0, 0.0])
async def test_what_is_late_is_not_started(left_s: float) -> None:
    desk = Desk()
    await desk.deliver(left_s=left_s)
    assert desk.calls == 0
    assert (await desk.refusal()).code == "deadline_passed"
    assert desk.tally.last_error.startswith("deadline_passed")


async def test_the_deadline_cancels_the_handler() -> None:
    cancelled = anyio.Event()

    async def hang(_request: tuning.AdviseRequest, _job: job.Job) -> tuning.Advice:
        try:
            await anyio.sleep_forever()
        finally:
            cancelled.set()
        return tuning.Advice()

    desk = Desk(hang)
    with anyio.fail_after(2):
        await desk.deliver(left_s=0.02)
    assert cancelled.is_set()
    assert (await desk.refusal()).code == "deadline_passed"


async def test_a_refusal_is_an_answer_and_nothing_is_buried() -> None:
    desk = Desk(raising(errors.Refused("no_advice", "ask somebody else")))
    await desk.deliver()
    assert await desk.refusal() == envelope.Refusal(code="no_advice", message="ask somebody else")
    assert await desk.dead() == []
    assert (desk.tally.failures, desk.tally.last_error) == (1, "no_advice: ask somebody else")


async def test_a_body_that_is_not_the_request_is_refused_before_the_handler() -> None:
    desk = Desk()
    for body in (b"{}", b"not json", b"\xff", b'{"character": 3}', b""):
        await desk.deliver(body)
        assert (await desk.refusal()).code == "bad_request"
    assert desk.calls == 0
    assert await desk.dead() == []


@pytest.mark.parametrize(
    ("error", "after_s"),
    [
        (errors.Retry("not yet", after_s=0.25), 0.25),
        (errors.NotAccepted("no broker"), 1.0),
        (errors.Overloaded("queue full"), 1.0),
        (errors.NoReply("nobody"), 1.0),
    ],
)
async def test_trouble_of_the_bus_asks_for_another_delivery(error: Exception, after_s: float) -> None:
    desk = Desk(raising(error))
    with pytest.raises(errors.Retry) as caught:
        await desk.deliver(deliveries=limits.DELIVERIES_MAX - 1)
    assert caught.value.after_s == after_s
    assert await desk.reply() is None
    assert await desk.dead() == []
    assert (desk.tally.failures, desk.tally.last_error) == (1, f"Retry: {error}")


async def test_the_last_delivery_is_not_retried_but_buried() -> None:
    desk = Desk(raising(errors.Retry("still not")))
    await desk.deliver(deliveries=limits.DELIVERIES_MAX)
    assert (await desk.refusal()).code == "buried"
    assert [dead.reason for dead in await desk.dead()] == ["Retry: still not"]


async def test_a_failure_is_buried_with_all_that_is_needed_to_retry_it() -> None:
    desk = Desk(raising(RuntimeError("boom")))
    await desk.deliver()
    refusal = await desk.refusal()
    assert (refusal.code, refusal.message) == ("buried", "RuntimeError: boom")
    (dead,) = await desk.dead()
    assert (dead.subject, dead.stream, dead.deliveries) == (SUBJECT, "WORK_tuning", 1)
    assert dead.headers == {"traceparent": "x"}
    assert dead.body == BODY.decode()
    assert dead.reason == "RuntimeError: boom"


async def test_poison_is_buried_without_running() -> None:
    desk = Desk()
    await desk.deliver(deliveries=limits.DELIVERIES_MAX + 1)
    assert desk.calls == 0
    assert (await desk.refusal()).code == "buried"
    assert "delivered 6 times" in (await desk.dead())[0].reason


async def test_a_body_that_is_no_text_is_buried_as_base64() -> None:
    body = b'{"character": "\xff\xfe"}'
    desk = Desk()
    delivery = broker.Delivery(api.Message(SUBJECT, body, {}, "WORK_tuning", 9, 1.0), 3, "token")
    await middleware.bury(desk.source, delivery, ValueError("unreadable"))
    (dead,) = await desk.dead()
    assert dead.body == "base64:" + base64.b64encode(body).decode()


@pytest.mark.parametrize("character", [b"a", b'\\"', b"\xff"])
async def test_the_largest_body_can_be_buried_too(character: bytes) -> None:
    """Otherwise it comes back until it is too old, and its caller never hears."""
    desk = Desk()
    body = character * (limits.BODY_BYTES_MAX // len(character))
    await desk.deliver(body, deliveries=limits.DELIVERIES_MAX + 1)
    assert (await desk.refusal()).code == "buried"
    assert len(await desk.dead()) == 1


async def test_burying_twice_keeps_the_first() -> None:
    desk = Desk()
    delivery = broker.Delivery(api.Message(SUBJECT, b"{}", {}, "WORK_tuning", 9, 1.0), 3, "token")
    for reason in ("first", "second"):
        reply = await middleware.bury(desk.source, delivery, ValueError(reason))
        assert isinstance(reply.refusal, envelope.Refusal)
        assert reply.refusal.code == "buried"
    assert [dead.reason for dead in await desk.dead()] == ["ValueError: first"]


def test_a_dead_letter_keeps_the_turn_in_its_subject() -> None:
    assert middleware.dead_subject(SUBJECT, 7) == "dead.req.tuning.t1.2-7"
    alien = subjects.parse(middleware.dead_subject("some thing.else", 7))
    assert (alien.kind, alien.a, alien.n) == ("dead", "alien", "7")


def test_two_dead_letters_of_the_longest_subject_are_two() -> None:
    longest = subjects.build("req", "tuning", "advise", "t1", "n" * 64)
    assert middleware.dead_subject(longest, 7) != middleware.dead_subject(longest, 8)


@pytest.mark.parametrize(("deliveries", "age_s"), [(2, 0.0), (1, job.FRESH_S + 1)])
async def test_a_redelivery_is_answered_from_the_record(deliveries: int, age_s: float) -> None:
    """An old message counts as repeated too: a crashed broker forgets how often it delivered."""
    desk = Desk()
    recorded = base.encode(envelope.Reply(result=msgspec.Raw(b'{"arm":"earlier"}')))
    await desk.source.append(REPLY, recorded, {})
    heard: list[api.Message] = []
    await desk.source.subscribe("got.>", lambda message, _: heard.append(message))
    await desk.deliver(deliveries=deliveries, at=time.time() - age_s)
    assert desk.calls == 0
    assert [(message.subject, message.data) for message in heard] == [("got" + REPLY[3:], recorded)]


async def test_a_redelivery_without_a_recorded_answer_runs() -> None:
    desk = Desk()
    await desk.deliver(deliveries=2)
    assert desk.calls == 1
    reply = await desk.reply()
    assert reply is not None
    assert reply.deliveries == 2


async def test_when_somebody_was_faster_their_answer_counts_and_is_announced() -> None:
    desk = Desk()
    earlier = base.encode(envelope.Reply(result=msgspec.Raw(b'{"arm":"faster"}')))
    await desk.source.append(REPLY, earlier, {})
    heard: list[bytes] = []
    await desk.source.subscribe("got.>", lambda message, _: heard.append(message.data))
    await desk.deliver()
    assert desk.calls == 1
    assert heard == [earlier]
    stored = await desk.source.last(REPLY)
    assert stored is not None
    assert stored.data == earlier


async def test_the_order_is_count_record_bury_bound_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A late poison message is poison, not late; both are recorded; recording is counted."""
    desk = Desk()
    await desk.deliver(deliveries=limits.DELIVERIES_MAX + 1, left_s=-1)
    assert (await desk.refusal()).code == "buried"
    assert desk.tally.requests == 1

    async def refuse(*_: object, **__: object) -> int:
        raise errors.NotAccepted("no broker")

    unstored = Desk()
    monkeypatch.setattr(unstored.source, "append", refuse)
    with pytest.raises(errors.NotAccepted):
        await unstored.deliver()
    assert (unstored.calls, unstored.tally.requests) == (1, 1)


async def test_an_only_error_in_a_task_group_counts_as_itself() -> None:
    desk = Desk(raising(ExceptionGroup("group", [ExceptionGroup("inner", [errors.Refused("no", "ask")])])))
    await desk.deliver()
    assert (await desk.refusal()).code == "no"
    two = Desk(raising(ExceptionGroup("group", [errors.Refused("no"), RuntimeError("boom")])))
    await two.deliver()
    assert (await two.refusal()).code == "buried"


async def test_a_reply_too_large_to_store_is_refused() -> None:
    async def talk(_request: tuning.AdviseRequest, _job: job.Job) -> tuning.Advice:
        return tuning.Advice(reason="x" * limits.BODY_BYTES_MAX)

    desk = Desk(talk)
    await desk.deliver()
    assert (await desk.refusal()).code == "reply_too_large"
    assert desk.tally.failures == 1


async def test_a_listener_records_no_reply_but_counts_and_buries() -> None:
    source, tally = memory.Memory(), status.Tally()
    seen: list[tuning.Report] = []

    async def take(report: tuning.Report, _job: job.Job) -> None:
        seen.append(report)
        if report.tallies:
            raise RuntimeError("boom")

    listen = service.Listen("tuning-outcomes", "evt.turn.ended", tuning.Report, take)
    chain = middleware.chain_for_listen(source, suspect.Suspects(source, "here"), listen, tally)
    bodies = (tuning.Report(), tuning.Report(tallies=(tuning.Tally(character="peter", arm="base"),)))
    for number, body in enumerate(bodies):
        subject = subjects.parse(subjects.event("turn", "ended", f"t{number}"))
        message = api.Message(str(subject), base.encode(body), {}, "RECORD", number + 1, time.time())
        circumstances = job.Job(
            bus=connection.Connection(source, "here"),
            subject=subject,
            deadline=time.time() + 5,
            stored_at=time.time(),
            sequence=number + 1,
            deliveries=1,
        )
        await chain(broker.Delivery(message, 1, "token"), circumstances)
    assert len(seen) == 2
    assert (tally.requests, tally.failures) == (2, 1)
    assert await source.latest("LOG", ["rep.>"]) == []
    assert len(await source.latest("DEAD", ["dead.evt.turn.t1.*"])) == 1


class Mourner:
    """A listener that fails, and has something to say about it."""

    def __init__(self, *troubles: Exception) -> None:
        self.source = memory.Memory()
        self.tally = status.Tally()
        self.handled = 0
        self.said: list[tuple[str, str]] = []
        self.letters_then = 0
        self._troubles = list(troubles)
        listen = service.Listen("tuning-outcomes", "evt.turn.ended", turn.Ended, self._take, buried=self._say)
        watch = suspect.Suspects(self.source, "here")
        self.chain = middleware.chain_for_listen(self.source, watch, listen, self.tally)

    async def _take(self, _ended: turn.Ended, _job: job.Job) -> None:
        self.handled += 1
        raise RuntimeError("boom")

    async def _say(self, ended: turn.Ended, _job: job.Job, reason: str) -> None:
        self.said.append((ended.turn, reason))
        self.letters_then = len(await self.source.latest("DEAD", ["dead.>"]))
        if self._troubles:
            raise self._troubles.pop(0)

    async def deliver(self, data: bytes | None = None, *, deliveries: int = 1, left_s: float = 5.0) -> None:
        subject = subjects.parse(subjects.event("turn", "ended", "t1"))
        body = turn.Ended(turn="t1", outcome="answered", character="peter", surface="console", channel="c")
        message = api.Message(
            str(subject), base.encode(body) if data is None else data, {}, "RECORD", 1, time.time()
        )
        circumstances = job.Job(
            bus=connection.Connection(self.source, "here"),
            subject=subject,
            deadline=time.time() + left_s,
            stored_at=time.time(),
            sequence=1,
            deliveries=deliveries,
            deliveries_max=limits.PATIENCE_MAX,
        )
        await self.chain(broker.Delivery(message, deliveries, "token"), circumstances)


async def test_last_words_are_said_once_it_is_buried_and_before_it_is_acked() -> None:
    mourner = Mourner()
    await mourner.deliver()
    assert mourner.said == [("t1", "RuntimeError: boom")]
    assert mourner.letters_then == 1
    assert mourner.tally.last_error == "buried: RuntimeError: boom"


@pytest.mark.parametrize(("deliveries", "left_s"), [(limits.PATIENCE_MAX + 1, 5.0), (1, -1.0)])
async def test_last_words_are_said_about_what_never_ran_too(deliveries: int, left_s: float) -> None:
    mourner = Mourner()
    await mourner.deliver(deliveries=deliveries, left_s=left_s)
    assert mourner.handled == 0
    assert [turn_id for turn_id, _ in mourner.said] == ["t1"]


async def test_no_last_words_about_what_nobody_can_read() -> None:
    mourner = Mourner()
    await mourner.deliver(b"{}")
    assert mourner.said == []
    assert len(await mourner.source.latest("DEAD", ["dead.>"])) == 1


async def test_last_words_that_could_not_be_stored_bring_the_message_back() -> None:
    mourner = Mourner(errors.NotAccepted("no broker"))
    with pytest.raises(errors.Retry, match="no last words yet: no broker"):
        await mourner.deliver(deliveries=limits.PATIENCE_MAX + 1)
    await mourner.deliver(deliveries=limits.PATIENCE_MAX + 2)
    assert len(mourner.said) == 2
    assert len(await mourner.source.latest("DEAD", ["dead.>"])) == 1


async def test_last_words_may_not_keep_a_message_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    mourner = Mourner(errors.NotAccepted("no broker"))
    await mourner.deliver(deliveries=limits.PATIENCE_MAX + limits.DELIVERIES_MAX)
    assert mourner.tally.last_error.startswith("buried")

    async def hang(_ended: turn.Ended, _job: job.Job, _reason: str) -> None:
        await anyio.sleep_forever()

    monkeypatch.setattr(limits, "LAST_WORDS_S", 0.02)
    listen = service.Listen("tuning-outcomes", "evt.turn.ended", turn.Ended, mourner._take, buried=hang)
    watch = suspect.Suspects(mourner.source, "here")
    mourner.chain = middleware.chain_for_listen(mourner.source, watch, listen, mourner.tally)
    with anyio.fail_after(2), pytest.raises(errors.Retry):
        await mourner.deliver()


async def test_last_words_that_fail_leave_the_message_buried() -> None:
    mourner = Mourner(RuntimeError("speechless"))
    await mourner.deliver()
    assert mourner.tally.last_error == "buried: RuntimeError: boom"
    assert len(await mourner.source.latest("DEAD", ["dead.>"])) == 1
