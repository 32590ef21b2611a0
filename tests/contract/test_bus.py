"""One suite for every broker: what the rest of Quahog relies on."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import AsyncIterator, Callable

import anyio
import pytest

from svc.bus import broker, connection, errors, job, limits, schedule, serve, service, streams, subjects
from svc.wire import base, characters, envelope, llm, message, quality, status, tuning, turn

pytestmark = pytest.mark.anyio


@contextlib.asynccontextmanager
async def serving(bus: connection.Connection, served: service.Service) -> AsyncIterator[None]:
    stop, ready = anyio.Event(), anyio.Event()
    server = serve.Server(bus, served)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(server.run, stop, ready.set)
        with anyio.fail_after(10):
            await ready.wait()
        try:
            yield
        finally:
            stop.set()


def ended(turn_id: str, outcome: turn.Outcome) -> turn.Ended:
    return turn.Ended(turn=turn_id, outcome=outcome, character="peter", surface="console", channel="c")


class Adviser:
    """A handler that counts, and misbehaves on request."""

    def __init__(self) -> None:
        self.calls = 0
        self.hold = anyio.Event()
        self.called = anyio.Event()

    async def advise(self, request: tuning.AdviseRequest, job_: job.Job) -> tuning.Advice:
        self.calls += 1
        self.called.set()
        match request.topic:
            case "refuse":
                raise errors.Refused("no_advice", "ask somebody else")
            case "crash":
                raise RuntimeError("boom")
            case "retry" if job_.deliveries < 3:
                raise errors.Retry("not yet", after_s=0.01)
            case "hang":
                await self.hold.wait()
        return tuning.Advice(arm=f"{request.topic}-{self.calls}")

    def service(self, *, paid: bool = False) -> service.Service:
        answer = service.Answer(
            "advise", tuning.AdviseRequest, tuning.Advice, self.advise, slots=4, paid=paid
        )
        return service.Service(name="tuning", answers=(answer,))

    async def ask(
        self, bus: connection.Connection, topic: str, turn_id: str, within_s: float = 5
    ) -> tuning.Advice:
        request = tuning.AdviseRequest(character="peter", topic=topic)
        return await bus.call("tuning", "advise", request, tuning.Advice, turn=turn_id, within_s=within_s)


async def test_first_write_of_a_subject_wins(bus: connection.Connection) -> None:
    subject = subjects.event("turn", "ended", "t1")
    assert await bus.publish(subject, ended("t1", "answered"))
    assert not await bus.publish(subject, ended("t1", "expired"))
    stored = await bus.last(subject)
    assert stored is not None
    assert base.decode(stored.data, turn.Ended).outcome == "answered"
    assert stored.stream == "RECORD"
    assert abs(stored.at - time.time()) < 5


async def test_nothing_stored_reads_as_none(bus: connection.Connection) -> None:
    assert await bus.last(subjects.event("turn", "ended", "never")) is None


async def test_call_gives_the_answer_and_records_it(bus: connection.Connection) -> None:
    adviser = Adviser()
    async with serving(bus, adviser.service()):
        assert (await adviser.ask(bus, "beer", "t2")).arm == "beer-1"
    stored = await bus.last(subjects.reply("tuning", "advise", "t2"))
    assert stored is not None
    reply = base.decode(stored.data, envelope.Reply)
    assert (reply.deliveries, reply.instance) == (1, bus.instance)


async def test_the_same_call_again_is_answered_from_the_record(bus: connection.Connection) -> None:
    adviser = Adviser()
    async with serving(bus, adviser.service()):
        first = await adviser.ask(bus, "beer", "t3")
        again = await adviser.ask(bus, "beer", "t3")
    assert first == again


async def test_a_call_waits_for_a_service_that_starts_later(bus: connection.Connection) -> None:
    adviser = Adviser()
    answers: list[tuning.Advice] = []

    async def ask() -> None:
        answers.append(await adviser.ask(bus, "late", "t4"))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask)
        await anyio.sleep(0.1)
        async with serving(bus, adviser.service()):
            with anyio.fail_after(5):
                while not answers:
                    await anyio.sleep(0.01)


async def test_refusal_reaches_the_caller_with_its_code(bus: connection.Connection) -> None:
    adviser = Adviser()
    async with serving(bus, adviser.service()):
        with pytest.raises(errors.Refused, match="ask somebody else") as caught:
            await adviser.ask(bus, "refuse", "t5")
    assert caught.value.code == "no_advice"


async def test_a_crash_is_buried_and_the_caller_told(bus: connection.Connection) -> None:
    adviser = Adviser()
    async with serving(bus, adviser.service()):
        with pytest.raises(errors.Refused) as caught:
            await adviser.ask(bus, "crash", "t6")
        assert (await adviser.ask(bus, "beer", "t6b")).arm  # the worker lives on
    assert caught.value.code == "buried"
    dead = await bus.broker.latest("DEAD", ["dead.req.tuning.t6.*"])
    assert "boom" in base.decode(dead[0].data, envelope.Dead).reason


async def test_retry_delivers_again(bus: connection.Connection) -> None:
    adviser = Adviser()
    async with serving(bus, adviser.service()):
        assert (await adviser.ask(bus, "retry", "t7")).arm == "retry-3"


async def test_no_reply_in_time(bus: connection.Connection) -> None:
    adviser = Adviser()
    async with serving(bus, adviser.service()):
        with pytest.raises((errors.NoReply, errors.Refused)):
            await adviser.ask(bus, "hang", "t8", within_s=0.3)
        # The handler was cancelled at the deadline and the refusal recorded: nothing is left running.
        with anyio.fail_after(5):
            while await bus.last(subjects.reply("tuning", "advise", "t8")) is None:
                await anyio.sleep(0.02)


async def test_a_late_request_is_refused_without_running(bus: connection.Connection) -> None:
    adviser = Adviser()
    with pytest.raises(errors.NoReply):
        await adviser.ask(bus, "beer", "t9", within_s=0.05)
    async with serving(bus, adviser.service()):
        with anyio.fail_after(5):
            while (stored := await bus.last(subjects.reply("tuning", "advise", "t9"))) is None:
                await anyio.sleep(0.02)
    assert adviser.calls == 0
    refusal = base.decode(stored.data, envelope.Reply).refusal
    assert isinstance(refusal, envelope.Refusal)
    assert refusal.code == "deadline_passed"


async def test_a_body_that_is_not_the_request_is_refused(bus: connection.Connection) -> None:
    adviser = Adviser()
    async with serving(bus, adviser.service()):
        with pytest.raises(errors.Refused) as caught:
            await bus.call("tuning", "advise", characters.ListRequest(), tuning.Advice, turn="t10")
    assert caught.value.code == "bad_request"
    assert "character" in caught.value.message


async def test_a_subject_nobody_handles_is_buried(bus: connection.Connection) -> None:
    adviser = Adviser()
    async with serving(bus, adviser.service()):
        await bus.broker.append("req.tuning.unknown.t11.0", b"{}", {})
        with anyio.fail_after(5):
            while not await bus.broker.latest("DEAD", ["dead.req.tuning.t11.*"]):
                await anyio.sleep(0.02)
        assert (await adviser.ask(bus, "beer", "t11b")).arm


async def test_two_members_of_a_queue_group_share_the_work(bus: connection.Connection) -> None:
    one, two = Adviser(), Adviser()
    async with serving(bus, one.service()), serving(bus, two.service()):
        for index in range(20):
            await one.ask(bus, "beer", f"share{index}")
    assert one.calls + two.calls == 20


async def test_overloaded_when_the_queue_is_full(
    bus: connection.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = [dataclasses.replace(s, max_msgs=3) if s.name == "WORK_quality" else s for s in streams.STREAMS]
    monkeypatch.setattr(streams, "STREAMS", tuple(small))
    monkeypatch.setattr(streams, "BY_NAME", {stream.name: stream for stream in small})
    await bus.broker.ensure()
    request = quality.AssessRequest(character="peter", replies=("x",), user="y")
    for index in range(3):
        with pytest.raises(errors.NoReply):
            await bus.call("quality", "assess", request, quality.Assessment, turn=f"o{index}", within_s=0.05)
    with pytest.raises(errors.Overloaded):
        await bus.call("quality", "assess", request, quality.Assessment, turn="o3", within_s=0.05)


async def test_a_message_that_comes_back_to_who_works_on_it_is_not_done_twice(
    bus: connection.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = dataclasses.replace(streams.consumer("tuning"), ack_wait_s=0.3)
    monkeypatch.setitem(streams.CONSUMER_BY_NAME, "tuning", short)
    monkeypatch.setattr(limits, "HEARTBEAT_S", 60.0)  # nobody renews: as if the process had been stopped
    deliveries: list[int] = []
    work = serve.Server._work

    async def spy(self: serve.Server, delivery: broker.Delivery, consumer: streams.Consumer) -> None:
        deliveries.append(delivery.deliveries)
        await work(self, delivery, consumer)

    monkeypatch.setattr(serve.Server, "_work", spy)
    adviser = Adviser()
    arms: list[str] = []

    async def ask() -> None:
        arms.append((await adviser.ask(bus, "hang", "again", within_s=10)).arm)

    async with serving(bus, adviser.service()), anyio.create_task_group() as tasks:
        tasks.start_soon(ask)
        with anyio.fail_after(10):
            while len(deliveries) < 3:
                await anyio.sleep(0.02)
        adviser.hold.set()
    assert (adviser.calls, arms, deliveries[:3]) == (1, ["hang-1"], [1, 2, 3])
    assert await bus.last(subjects.request("tuning", "advise", "again")) is None  # the newest token acked it


async def health(bus: connection.Connection, instance: str) -> status.Health:
    return next(one.vitals.health for one in await bus.survey(0.1) if one.id == instance)


async def test_a_handler_that_hangs_is_named_until_it_gets_on(
    bus: connection.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    adviser = Adviser()
    answer = dataclasses.replace(adviser.service().answers[0], stall_s=0.2)
    monkeypatch.setattr(limits, "HEARTBEAT_S", 0.05)
    async with serving(bus, service.Service(name="tuning", answers=(answer,))):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(adviser.ask, bus, "hang", "hung")
            await adviser.called.wait()
            assert (await health(bus, bus.instance)).level == "ok"
            with anyio.fail_after(5):
                while (named := await health(bus, bus.instance)).level == "ok":
                    await anyio.sleep(0.02)
            assert named.level == "degraded"
            assert named.reasons[0].startswith("tuning.advise of hung has made no progress for ")
            adviser.hold.set()
        assert (await health(bus, bus.instance)).level == "ok"


async def test_a_model_process_that_hangs_is_called_broken_and_another_gets_its_work(
    bus: connection.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "HEARTBEAT_S", 0.05)
    monkeypatch.setattr(limits, "STOP_S", 0.3)
    other = connection.Connection(bus.broker, "other")
    one, two = Writer(), Writer()
    two.go.set()
    stop, ready, ended = anyio.Event(), anyio.Event(), anyio.Event()
    reasons: list[str] = []

    def broken(reason: str) -> None:
        reasons.append(reason)
        stop.set()

    hanging = dataclasses.replace(one.service().answers[0], stall_s=0.3)
    served = service.Service(name="llm", answers=(hanging,))

    async def serve_one() -> None:
        await serve.Server(bus, served, broken).run(stop, ready.set)
        ended.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(serve_one)
        await ready.wait()
        tasks.start_soon(write, other, "generate", "stuck")
        await until(lambda: one.turns == ["stuck"])
        async with serving(other, two.service()):
            with anyio.fail_after(10):
                await ended.wait()
            await until(lambda: two.turns == ["stuck"])
    assert reasons == [reasons[0]]
    assert reasons[0].startswith("llm.generate of stuck has made no progress for ")


async def test_recall_reads_every_reply_of_a_turn(bus: connection.Connection) -> None:
    adviser = Adviser()
    async with serving(bus, adviser.service()):
        for n in range(3):
            request = tuning.AdviseRequest(character="peter", topic="beer")
            await bus.call("tuning", "advise", request, tuning.Advice, turn="t12", n=n)
        await adviser.ask(bus, "beer", "other")
    recalled = await bus.recall("t12")
    assert sorted(recalled) == [f"rep.tuning.advise.t12.{n}" for n in range(3)]


async def test_turn_record_puts_requests_and_replies_together(bus: connection.Connection) -> None:
    adviser = Adviser()
    async with serving(bus, adviser.service()):
        await adviser.ask(bus, "beer", "t13")
    await bus.publish(subjects.event("turn", "ended", "t13"), ended("t13", "answered"))
    record = await bus.turn_record("t13")
    assert record.found
    assert [(step.service, step.method, step.status, step.detail) for step in record.steps] == [
        ("tuning", "advise", "done", "arm beer-1")
    ]
    assert b"beer" in bytes(record.steps[0].request)
    assert record.ended is not None
    assert not (await bus.turn_record("unheard-of")).found


async def test_listeners_get_what_their_consumer_filters(bus: connection.Connection) -> None:
    said: list[str] = []

    async def post(say: message.Say, _job: job.Job) -> None:
        said.append(say.text)

    listens = (service.Listen("console", "say.console", message.Say, post),)
    async with serving(bus, service.Service("bridge", listens=listens)):
        for surface in ("console", "http"):
            body = message.Say(turn="t14", surface=surface, channel="c", character="peter", text=surface)
            await bus.publish(subjects.say(surface, "peter", "t14"), body)
        with anyio.fail_after(5):
            while not said:
                await anyio.sleep(0.01)
    assert said == ["console"]


async def test_planned_turn_fires_once_at_its_time(bus: connection.Connection) -> None:
    fired: list[tuple[float, turn.Turn]] = []

    async def take(body: turn.Turn, _job: job.Job) -> None:
        fired.append((time.time(), body))

    body = turn.Turn(
        id="t15", origin="organic", character="brian", surface="console", channel="c", message="m", text="",
        author=message.Author(id="1"),
    )  # fmt: skip
    at = time.time() + 1.0
    listens = (service.Listen("router-plans", "turn.organic", turn.Turn, take),)
    async with serving(bus, service.Service("router", listens=listens)):
        assert await schedule.plan(bus, "organic", "brian", "t15", body, at=at)
        assert not await schedule.plan(bus, "organic", "brian", "t15", body, at=at + 1)
        with anyio.fail_after(6):
            while not fired:
                await anyio.sleep(0.02)
        await anyio.sleep(0.3)
    assert len(fired) == 1
    assert -0.05 <= fired[0][0] - at < 2.0
    assert fired[0][1] == body


async def test_a_user_turn_cannot_be_planned(bus: connection.Connection) -> None:
    with pytest.raises(ValueError, match="can't be planned"):
        await schedule.plan(bus, "user", "peter", "t16", tuning.Advice(), at=time.time())


async def test_state_is_compare_and_set(bus: connection.Connection) -> None:
    first = await bus.state.put("channel.a", tuning.Advice(arm="one"), revision=0)
    assert first is not None
    assert await bus.state.put("channel.a", tuning.Advice(arm="two"), revision=0) is None
    second = await bus.state.put("channel.a", tuning.Advice(arm="two"), revision=first)
    entry = await bus.state.get("channel.a")
    assert entry is not None
    assert entry.revision == second
    assert base.decode(entry.data, tuning.Advice).arm == "two"


async def test_follow_catches_up_and_goes_on(bus: connection.Connection) -> None:
    for index in range(5):
        await bus.publish(subjects.event("turn", "ended", f"f{index}"), ended(f"f{index}", "answered"))
    first = await bus.last(subjects.event("turn", "ended", "f1"))
    assert first is not None
    seen: list[str] = []
    with anyio.fail_after(8):
        async with bus.follow("RECORD", ("evt.turn.>",), since=first.sequence) as messages:
            await bus.publish(subjects.event("turn", "ended", "f5"), ended("f5", "answered"))
            async for item in messages:
                seen.append(subjects.parse(item.subject).turn)
                if len(seen) == 4:
                    break
    assert seen == ["f2", "f3", "f4", "f5"]


async def test_follow_may_begin_some_messages_back(bus: connection.Connection) -> None:
    for index in range(5):
        await bus.publish(subjects.event("turn", "ended", f"b{index}"), ended(f"b{index}", "answered"))
    for back, first in ((-2, "b3"), (-100, "b0")):
        with anyio.fail_after(8):
            async with bus.follow("RECORD", ("evt.turn.>",), since=back) as messages:
                async for item in messages:
                    assert subjects.parse(item.subject).turn == first
                    break


class Writer:
    """A model service whose handlers wait."""

    def __init__(self) -> None:
        self.turns: list[str] = []
        self.go = anyio.Event()

    async def generate(self, _request: llm.GenerateRequest, job_: job.Job) -> llm.Generation:
        self.turns.append(job_.subject.turn)
        await self.go.wait()
        return llm.Generation(candidates=(), model="none")

    def service(self) -> service.Service:
        slots = {"generate": limits.MODEL_SLOTS, "banter": limits.BANTER_SLOTS}
        return service.Service(
            name="llm",
            answers=tuple(
                service.Answer(method, llm.GenerateRequest, llm.Generation, self.generate, number, paid=True)
                for method, number in slots.items()
            ),
        )


async def write(bus: connection.Connection, method: str, turn_id: str) -> None:
    request = llm.GenerateRequest(character="peter", messages=())
    await bus.call("llm", method, request, llm.Generation, turn=turn_id, within_s=20)


async def until(what: Callable[[], bool]) -> None:
    with anyio.fail_after(15):
        while not what():
            await anyio.sleep(0.02)


async def pinned(bus: connection.Connection, method: str) -> dict[str, bool | None]:
    """What each model process says of itself."""
    found = {}
    for one in await bus.survey(0.1):
        for endpoint in one.endpoints:
            if endpoint.name == method:
                assert endpoint.data is not None
                found[one.id] = endpoint.data.pinned
    return found


async def test_a_queue_is_counted(bus: connection.Connection) -> None:
    writer = Writer()
    assert await bus.queue("llm") == status.Queue()
    async with anyio.create_task_group() as tasks:
        for number in range(limits.MODEL_SLOTS + 3):
            tasks.start_soon(write, bus, "generate", f"q{number}")
        with anyio.fail_after(5):
            while await bus.queue("llm") != status.Queue(waiting=limits.MODEL_SLOTS + 3):
                await anyio.sleep(0.02)
        async with serving(bus, writer.service()):
            await until(lambda: len(writer.turns) == limits.MODEL_SLOTS)
            assert await bus.queue("llm") == status.Queue(waiting=3, working=limits.MODEL_SLOTS)
            writer.go.set()
            with anyio.fail_after(5):
                while await bus.queue("llm") != status.Queue():
                    await anyio.sleep(0.02)


async def test_one_model_process_does_all_the_work_and_says_so_and_another_takes_over(
    bus: connection.Connection,
) -> None:
    """Both kinds of work, too: what one process is given for users, no other is given for banter."""
    other = connection.Connection(bus.broker, "other")
    writers = {bus.instance: Writer(), other.instance: Writer()}
    for writer in writers.values():
        writer.go.set()
    async with serving(other, writers[other.instance].service()):
        async with serving(bus, writers[bus.instance].service()):
            assert set((await pinned(bus, "generate")).values()) == {None}
            for number in range(4):
                await write(bus, "generate", f"p{number}")
            active = next(name for name, writer in writers.items() if writer.turns)
            idle = next(name for name in writers if name != active)
            with anyio.fail_after(10):
                while await pinned(bus, "generate") != {active: True, idle: False}:
                    await anyio.sleep(0.05)
            for number in range(4):
                await write(bus, "banter", f"b{number}")
            assert len(writers[active].turns) == 8
        await write(bus, "generate", "after")
        await write(bus, "banter", "after")
        assert await pinned(bus, "generate") == {other.instance: True}
    assert writers[other.instance].turns[-2:] == ["after", "after"]


async def test_banter_moves_to_the_process_that_works_for_users(bus: connection.Connection) -> None:
    async def process() -> tuple[broker.Puller, broker.Puller]:
        users = await bus.broker.puller(streams.consumer("llm-generate"))
        banter = await bus.broker.puller(streams.consumer("llm-banter"))
        banter.follow(users)
        return users, banter

    async def taken(puller: broker.Puller) -> str:
        while (delivery := await puller.next()) is None:
            pass
        await bus.broker.ack(delivery)
        return subjects.parse(delivery.message.subject).turn

    async def send(method: str, turn_id: str) -> None:
        await bus.publish(subjects.request("llm", method, turn_id), characters.ListRequest())

    (users, banter), (other_users, other_banter) = await process(), await process()
    with anyio.fail_after(20):
        await send("banter", "b0")
        assert await taken(banter) == "b0"
        await send("generate", "g0")
        assert await taken(other_users) == "g0"
        while users.active is not False:
            assert await users.next() is None
        await send("banter", "b1")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(taken, banter)
            assert await taken(other_banter) == "b1"
            tasks.cancel_scope.cancel()
    for puller in (users, banter, other_users, other_banter):
        await puller.stop()


async def test_survey_finds_everybody(bus: connection.Connection) -> None:
    adviser = Adviser()
    async with serving(bus, adviser.service()):
        await adviser.ask(bus, "beer", "t17")
        stats = await bus.survey()
    found = next(stat for stat in stats if stat.name == "tuning")
    assert found.id == bus.instance
    assert (found.endpoints[0].name, found.endpoints[0].num_requests) == ("advise", 1)
    assert found.vitals.health.level == "ok"


async def test_stop_lets_a_handler_finish(bus: connection.Connection) -> None:
    adviser = Adviser()
    answers: list[tuning.Advice] = []

    async def ask() -> None:
        answers.append(await adviser.ask(bus, "hang", "t18"))

    async with anyio.create_task_group() as tasks:
        async with serving(bus, adviser.service()):
            tasks.start_soon(ask)
            with anyio.fail_after(5):
                await adviser.called.wait()
            tasks.start_soon(release, adviser)
        with anyio.fail_after(5):
            while not answers:
                await anyio.sleep(0.01)
    assert adviser.calls == 1


async def release(adviser: Adviser) -> None:
    await anyio.sleep(0.2)
    adviser.hold.set()
