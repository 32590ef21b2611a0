"""What strangers send: garbage under every subject, subjects and headers that are none, sizes at the limit.

Real services on a real broker, spoken to by hand where a client library would refuse. Each message is buried
or refused with a reason, and a good one sent after it is handled: nobody's queue is stuck, no process ended.
"""

from __future__ import annotations

import contextlib
import importlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import anyio
import msgspec
import pytest

from svc import config
from svc import errors as quahog
from svc.bridge import posting
from svc.bus import (
    broker,
    connection,
    dead,
    errors,
    jetstream,
    job,
    limits,
    schedule,
    serve,
    service,
    streams,
    subjects,
    trace,
)
from svc.coordinator import history
from svc.wire import base, coordinator, envelope, message, router, tuning, turn
from tests import servers
from tests.contract import raw, test_bus
from tests.unit import fake_redis

pytestmark = pytest.mark.anyio

WITHIN_S = 10.0
DEEP = b'{"x":' + b"[" * 200_000 + b"]" * 200_000 + b"}"
BODIES = {
    "empty": b"",
    "cut": b'{"id": "t1", "origi',
    "null": b"null",
    "list": b"[]",
    "bytes": b"\xff\xfe\x00",
    "wrong": b'{"id": 3, "turn": [], "message": {}, "character": 7, "text": null}',
    "deep": DEEP,
    "long": b"\x01" * limits.BODY_BYTES_MAX,
    "digits": b'{"at": ' + b"9" * 5_000 + b"}",
}
SERVICES = ("characters", "tuning", "coordinator", "router")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[servers.NatsServer]:
    with servers.nats_server(tmp_path) as started:
        yield started


@contextlib.asynccontextmanager
async def company(server: servers.NatsServer) -> AsyncIterator[connection.Connection]:
    """Characters, tuning, coordinator and router as they run in production, and the console's outbox."""
    cache, stop = fake_redis.FakeRedis().cache(), anyio.Event()
    async with (
        connected(server) as bus,
        contextlib.AsyncExitStack() as stack,
        anyio.create_task_group() as tasks,
    ):
        outbox = service.Listen("console", "say.console", message.Say, posting.Posting().post)
        await started(tasks, bus, service.Service("bridge", listens=(outbox,)), stop)
        for name in SERVICES:
            app = service.App(bus=bus, cache=cache, common=config.read(config.Common, {}), tasks=tasks)
            opened = importlib.import_module(f"svc.{name}.service").open(app)
            await started(tasks, bus, await stack.enter_async_context(opened), stop)
        try:
            yield bus
        finally:
            stop.set()


@contextlib.asynccontextmanager
async def connected(server: servers.NatsServer) -> AsyncIterator[connection.Connection]:
    jet = await jetstream.connect(server.url, "test")
    try:
        await jet.ensure()
        yield connection.Connection(jet, "test")
    finally:
        await jet.close()


async def started(
    tasks: anyio.abc.TaskGroup, bus: connection.Connection, served: service.Service, stop: anyio.Event
) -> None:
    ready = anyio.Event()
    tasks.start_soon(serve.Server(bus, served).run, stop, ready.set)
    with anyio.fail_after(WITHIN_S):
        await ready.wait()


async def recorded(bus: connection.Connection, subject: str) -> bytes:
    with anyio.fail_after(WITHIN_S):
        while (stored := await bus.last(subject)) is None:
            await anyio.sleep(0.02)
    return stored.data


async def buried(bus: connection.Connection, count: int) -> list[envelope.Dead]:
    with anyio.fail_after(WITHIN_S):
        while await dead.count(bus.broker) < count:
            await anyio.sleep(0.02)
    return [letter.dead async for letter in dead.letters(bus)]


def heard(native: str, **fields: object) -> message.Heard:
    plain = message.Heard(
        message=subjects.message_id("console", native),
        native=native,
        surface="console",
        channel="console-hostile",
        author=message.Author(id="1", name="Ann"),
        text="Nobody in particular",
        at=time.time(),
    )
    return msgspec.structs.replace(plain, **fields)


def too_old(turn_id: str, origin: turn.Origin = "user") -> turn.Turn:
    """A turn that ends at once, on the record: it needs nobody else."""
    return turn.Turn(
        id=turn_id, origin=origin, character="peter", surface="console", channel="console-hostile",
        message="m", text="Hi", author=message.Author(id="1"), expires_at=time.time() - 1,
    )  # fmt: skip


def say(turn_id: str) -> message.Say:
    return message.Say(
        turn=turn_id, surface="console", channel="console-hostile", character="peter", text="Hey"
    )


# -- one good message of every kind ----------------------------------------------------------------------

Good = Callable[[connection.Connection, str], Awaitable[None]]


async def asked(bus: connection.Connection, mark: str) -> None:
    request = tuning.AdviseRequest(character="peter")
    assert (await bus.call("tuning", "advise", request, tuning.Advice, turn=mark)).arm


async def decided(bus: connection.Connection, mark: str) -> None:
    request = coordinator.DecideRequest(heard=heard(mark))
    assert (await bus.call("coordinator", "decide", request, coordinator.Decision, turn=mark)).reasons


async def ran(bus: connection.Connection, mark: str) -> None:
    await bus.publish(subjects.turn("user", "peter", mark), too_old(mark))
    ended = base.decode(await recorded(bus, subjects.event("turn", "ended", mark)), turn.Ended)
    assert ended.outcome == "expired"


async def fired(bus: connection.Connection, mark: str) -> None:
    body = too_old(mark, "organic")
    await schedule.plan(bus, "organic", "peter", mark, body, at=time.time())
    await recorded(bus, subjects.event("turn", "ended", mark))


async def said(bus: connection.Connection, mark: str) -> None:
    await bus.publish(subjects.say("console", "peter", mark), say(mark))
    await recorded(bus, subjects.event("message", "posted", mark))


async def listened(bus: connection.Connection, mark: str) -> None:
    told = heard(mark)
    await bus.publish(subjects.event("message", "heard", told.message), told)
    await recorded(bus, subjects.event("decision", "made", told.message))


async def remembered(bus: connection.Connection, mark: str) -> None:
    body = message.Posted(
        turn=mark, piece=0, surface="console", channel="console-hostile", character="peter", text=mark
    )
    await bus.publish(subjects.event("message", "posted", mark), body)
    await until_history(bus, mark)


async def until_history(bus: connection.Connection, text: str) -> None:
    request, n = coordinator.HistoryRequest(channel="console-hostile"), 0
    with anyio.fail_after(WITHIN_S):
        while True:
            n += 1
            found = await bus.call(
                "coordinator", "history", request, coordinator.History, turn=subjects.short_hash(text), n=n
            )
            if text in [line.text for line in found.utterances]:
                return
            await anyio.sleep(0.02)


async def counted(bus: connection.Connection, mark: str) -> None:
    body = msgspec.structs.replace(test_bus.ended(mark, "answered"), character=mark)
    await bus.publish(subjects.event("turn", "ended", mark), body)
    request, n = tuning.ReportRequest(character=mark), 0
    with anyio.fail_after(WITHIN_S):
        while not (
            await bus.call("tuning", "report", request, tuning.Report, turn=f"report-{mark}", n=n)
        ).tallies:
            n += 1
            await anyio.sleep(0.02)


REFUSED: dict[str, Good] = {"req.tuning.advise": asked, "req.coordinator.decide": decided}
"""A caller waits for these: garbage is answered with a refusal."""
BURIED: dict[str, Good] = {
    "turn.user.peter": ran,
    "turn.organic.peter": fired,
    "say.console.peter": said,
    "evt.message.heard": listened,
    "evt.message.posted": remembered,
    "evt.turn.ended": counted,
}
"""Nobody waits for these: garbage lies in DEAD."""
EVERYTHING = REFUSED | BURIED


# -- bodies ----------------------------------------------------------------------------------------------


async def test_garbage_is_refused_where_somebody_waits(server: servers.NatsServer) -> None:
    async with company(server) as bus:
        for prefix, good in REFUSED.items():
            for name, data in BODIES.items():
                await raw.publish(server.port, f"{prefix}.{name}.0".encode(), data)
            await good(bus, f"good-{prefix.split('.')[1]}")
            for name in BODIES:
                subject = subjects.reply_of(f"{prefix}.{name}.0")
                refusal = base.decode(await recorded(bus, subject), envelope.Reply).refusal
                assert isinstance(refusal, envelope.Refusal)
                assert refusal.code == "bad_request"
                assert refusal.message
        assert await dead.count(bus.broker) == 0


@pytest.mark.parametrize("prefix", BURIED)
async def test_garbage_is_buried_where_nobody_waits(server: servers.NatsServer, prefix: str) -> None:
    async with company(server) as bus:
        for name, data in BODIES.items():
            await raw.publish(server.port, f"{prefix}.{name}.0".encode(), data)
        await BURIED[prefix](bus, "good")
        letters = await buried(bus, len(BODIES))
        assert {letter.subject for letter in letters} == {f"{prefix}.{name}.0" for name in BODIES}
        assert all("bad_request" in letter.reason or "not a" in letter.reason for letter in letters)


HOSTILE_IDS = ("a.b", "*", ">", " ", "", "é", "a\nb", "a\x00b", "x" * 65, "$JS", "a b")


async def test_hostile_ids_inside_good_bodies_reach_no_subject(server: servers.NatsServer) -> None:
    """The subject is clean, but what the handler would build its own from is not."""
    async with company(server) as bus:
        for number, hostile in enumerate(HOSTILE_IDS):
            bodies: dict[str, msgspec.Struct] = {
                "turn.user.peter": msgspec.structs.replace(too_old("x"), id=hostile),
                "say.console.peter": msgspec.structs.replace(say("x"), turn=hostile),
                "evt.message.heard": heard("x", message=hostile),
                "evt.turn.ended": msgspec.structs.replace(test_bus.ended("x", "answered"), character=hostile),
            }
            for prefix, body in bodies.items():
                await bus.broker.append(f"{prefix}.h{number}.0", base.encode(body), {})
        await bus.broker.append("say.console.peter.t1.notanumber", base.encode(say("t1")), {})
        for prefix, good in EVERYTHING.items():
            await good(bus, f"good-{prefix.replace('.', '-')}")
        letters = await buried(bus, 4 * len(HOSTILE_IDS) + 1)
        assert all(letter.reason for letter in letters)
        assert not await bus.broker.latest("LOG", ["evt.decision.made.x.*"])
        assert not [key async for key in bus.scan("KV_STATE", ("$KV.STATE.tuning.tally.*.*.*",))]


async def test_whoever_is_addressed_by_a_hostile_name_is_nobody(server: servers.NatsServer) -> None:
    async with company(server) as bus:
        told = heard("to", to=HOSTILE_IDS, surface="http")
        await bus.publish(subjects.event("message", "heard", told.message), told)
        made = await recorded(bus, subjects.event("decision", "made", told.message))
        assert base.decode(made, coordinator.Decision).speakers == ()
        request = router.OrchestrateRequest(character="a.b", text="Hi", author=message.Author(id="1"))
        with pytest.raises(errors.Refused) as caught:
            await bus.call("router", "orchestrate", request, router.Orchestrated, turn="t1")
        assert caught.value.code == "unknown_character"


# -- sizes -----------------------------------------------------------------------------------------------


def advise(size: int) -> bytes:
    empty = len(base.encode(tuning.AdviseRequest(character="peter", topic="x"))) - 1
    body = base.encode(tuning.AdviseRequest(character="peter", topic="x" * (size - empty)))
    assert len(body) == size
    return body


@pytest.mark.parametrize("off", [-1, 0])
async def test_the_largest_body_is_taken_and_kept_whole(server: servers.NatsServer, off: int) -> None:
    async with company(server) as bus:
        data = advise(limits.BODY_BYTES_MAX + off)
        headers = {broker.TRACEPARENT: trace.of_turn("t1"), broker.DEADLINE: "9000"}
        await bus.broker.append(subjects.request("tuning", "advise", "t1"), data, headers)
        await recorded(bus, subjects.reply("tuning", "advise", "t1"))
        assert await recorded(bus, "log.tuning.advise.t1.0") == data


async def test_one_byte_more_is_refused_before_it_is_sent(server: servers.NatsServer) -> None:
    async with company(server) as bus:
        with pytest.raises(errors.NotAccepted, match="more than"):
            await bus.broker.append("req.tuning.advise.t1.0", advise(limits.BODY_BYTES_MAX + 1), {})
        topic = "x" * limits.BODY_BYTES_MAX
        with pytest.raises(errors.Refused) as caught:
            await bus.call(
                "tuning",
                "advise",
                tuning.AdviseRequest(character="peter", topic=topic),
                tuning.Advice,
                turn="t2",
            )
        assert caught.value.code == "request_too_large"
        # By hand, beyond what the stream takes: nothing is stored, and the queue goes on.
        await raw.publish(server.port, b"req.tuning.advise.t3.0", b"x" * 700_000)
        await asked(bus, "good")
        assert await bus.last("log.tuning.advise.t3.0") is None


@pytest.mark.parametrize(("room", "fits"), [(400, True), (0, False), (27, False)])
async def test_a_reply_that_its_wrapper_makes_too_large_is_refused(
    server: servers.NatsServer, room: int, fits: bool
) -> None:
    """Around the result stand who answered and how long it took: some 150 bytes."""
    empty = len(base.encode(tuning.Advice(reason="x"))) - 1

    async def talk(_request: tuning.AdviseRequest, _job: job.Job) -> tuning.Advice:
        return tuning.Advice(reason="x" * (limits.BODY_BYTES_MAX - empty - room))

    answer = service.Answer("advise", tuning.AdviseRequest, tuning.Advice, talk)
    async with connected(server) as bus, test_bus.serving(bus, service.Service("tuning", answers=(answer,))):
        request, code = tuning.AdviseRequest(character="peter"), ""
        try:
            await bus.call("tuning", "advise", request, tuning.Advice, turn="t1")
        except errors.Refused as refused:
            code = refused.code
        assert code == ("" if fits else "reply_too_large")


# -- subjects and headers --------------------------------------------------------------------------------

PLACES = (
    b"%b",  # too few tokens
    b"%b.t1",
    b"%b.t1.0.more",
    b"%b.t1.0.more.and.more",
    b"%b.*.0",
    b"%b.t1.>",
    b"%b.\xff\xfe.0",
    b"%b.\xc3\xa9.0",
    b"%b.a\x0bb.0",
    b"%b.a\x0cb.0",
    b"%b.a\x00b.0",
    b"%b.a\x1bb.0",
    b"%b.$JS.0",
    b"%b." + b"a" * 65 + b".0",
    b"%b." + b"a" * 3_000 + b".0",
)


@pytest.mark.parametrize("prefix", EVERYTHING)
async def test_subjects_that_are_none_stop_nobody(server: servers.NatsServer, prefix: str) -> None:
    async with company(server) as bus:
        for place in PLACES:
            await raw.publish(server.port, place % prefix.encode())
        await EVERYTHING[prefix](bus, "good")
        given = await unhandled(bus, prefix)
        assert len(given) >= 10
        with anyio.fail_after(WITHIN_S):
            while not given <= {letter.dead.subject async for letter in dead.letters(bus)}:
                await anyio.sleep(0.02)
        assert all([letter.dead.reason async for letter in dead.letters(bus)])


async def unhandled(bus: connection.Connection, prefix: str) -> set[str]:
    """Everything hostile that the consumers of this prefix were given. Of a request the copy is left."""
    where = prefix.replace("req.", "log.")
    stream = streams.stream_of(f"{where}.t.0")
    assert stream
    found = set()
    async for stored in bus.scan(stream, (f"{where}.>", where)):
        subject = stored.subject.replace("log.", "req.")
        taken = any(subjects.matches(pattern, subject) for c in streams.CONSUMERS for pattern in c.filters)
        if taken and stored.data == b"{}":
            found.add(subject)
    return found


HEADERS: dict[str, bytes] = {
    "status": raw.block({"Status": "404"}),
    "conflict": raw.block({"Status": "409", "Description": "Consumer Deleted"}),
    "inline": b"NATS/1.0 404 No Messages\r\n\r\n",
    "inline-bytes": b"NATS/1.0 \xff\xff\xff\r\n\r\n",
    "bytes": b"NATS/1.0\r\nA\xff: \xff\xfe\r\n\r\n",
    "no-end": b"NATS/1.0\r\nA: b",
    "none": b"nothing like a header",
    "deadline-digits": raw.block({broker.DEADLINE: "9" * 5_000}),
    "deadline-far": raw.block({broker.DEADLINE: "9" * 12}),
    "deadline-arabic": raw.block({broker.DEADLINE: "٣٣"}),
    "deadline-below": raw.block({broker.DEADLINE: "-5"}),
    "place": raw.block({"Quahog-First-Sequence": "9" * 40, "Quahog-First-At": "soon"}),
    "trace": raw.block({broker.TRACEPARENT: "x" * 65_490}),
    "trace-newline": raw.block({broker.TRACEPARENT: "x\nNats-Expected-Last-Sequence: 999999"}),
    "pin": raw.block({"Nats-Pin-Id": "stranger"}),
    "many": raw.block({f"X-{number}": "\x01" * 900 for number in range(60)}),
}


@pytest.mark.parametrize("prefix", ["req.tuning.advise", "turn.user.peter", "evt.message.heard"])
async def test_headers_that_are_none_stop_nobody(server: servers.NatsServer, prefix: str) -> None:
    body = {"req": b'{"character":"peter"}', "turn": base.encode(too_old("x"))}.get(
        prefix[:4].strip("."), b"{}"
    )
    async with company(server) as bus:
        for name, headers in HEADERS.items():
            await raw.publish(server.port, f"{prefix}.{name}.0".encode(), body, headers)
        await EVERYTHING[prefix](bus, "good")
        if prefix.startswith("req."):
            for name in HEADERS:
                await recorded(bus, f"rep.tuning.advise.{name}.0")
        elif prefix.startswith("evt."):
            await buried(bus, len(HEADERS))
        consumer = next(
            c for c in streams.CONSUMERS if any(subjects.matches(f, f"{prefix}.t.0") for f in c.filters)
        )
        assert isinstance(bus.broker, jetstream.JetStream)
        with anyio.fail_after(WITHIN_S):
            while (await info(bus.broker, consumer))["num_ack_pending"]:
                await anyio.sleep(0.05)


async def info(jet: jetstream.JetStream, consumer: streams.Consumer) -> dict[str, int]:
    found: dict[str, int] = await jet.administer(f"CONSUMER.INFO.{consumer.stream}.{consumer.name}", {})
    return found


async def test_what_is_recorded_with_a_false_status_is_read_all_the_same(server: servers.NatsServer) -> None:
    async with company(server) as bus:
        subject = subjects.event("turn", "ended", "t1")
        body = base.encode(test_bus.ended("t1", "answered"))
        await raw.publish(server.port, subject.encode(), body, HEADERS["status"])
        assert await recorded(bus, subject) == body
        assert [one.data for one in await bus.broker.latest("RECORD", ["evt.turn.ended.t1.*"])] == [body]
        found = [one async for one in bus.scan("RECORD", ("evt.turn.ended.>",))]
        assert [one.data for one in found] == [body]
        with anyio.fail_after(WITHIN_S):
            async with bus.follow("RECORD", ("evt.turn.ended.>",), since=0 - 1) as stored:
                async for one in stored:
                    assert one.data == body
                    break


# -- plans, forged replies, order ------------------------------------------------------------------------


async def test_nonsense_schedules_are_refused_or_buried(server: servers.NatsServer) -> None:
    at, target = "@at 2020-01-01T00:00:00Z", "turn.organic.peter.now.0"
    async with company(server) as bus:
        for number, (when, where) in enumerate(
            [
                ("soon", target),
                ("@at 2026-99-99T00:00:00Z", target),
                (at, "turn.user.peter.forged.0"),  # never another stream
                (at, "turn.organic.>"),
                (at, ""),
            ]
        ):
            headers = {broker.SCHEDULE: when, broker.SCHEDULE_TARGET: where}
            with pytest.raises(errors.NotAccepted):
                await bus.broker.append(f"later.organic.peter.n{number}.0", b"{}", headers)
        await bus.broker.append("later.organic.peter.none.0", b"{}", {})  # it never fires
        for number, where in enumerate([target, "turn.organic.peter.%d.0", "turn.organic.peter"]):
            headers = {broker.SCHEDULE: at, broker.SCHEDULE_TARGET: where}
            await bus.broker.append(f"later.organic.peter.f{number}.0", b"{}", headers)
        letters = await buried(bus, 3)
        assert {letter.subject for letter in letters} == {
            target,
            "turn.organic.peter.%d.0",
            "turn.organic.peter",
        }
        await fired(bus, "good")


async def test_a_rollup_empties_no_stream_but_that_of_plans(server: servers.NatsServer) -> None:
    """Whatever can schedule takes rollups too: hence that stream holds nothing that people wait for."""
    async with company(server) as bus:
        await ran(bus, "before")
        for stream in streams.STREAMS:
            if stream.key_value or stream.schedules:
                continue
            subject = stream.subjects[0].replace(">", "x.y.z.0" if stream.name != "KV_SUSPECT" else "x")
            held = await bus.broker.depth(stream.name)
            for how in ("all", "sub"):
                headers = {"Nats-Rollup": how}
                with pytest.raises(errors.NotAccepted, match="rollup"):
                    await bus.broker.append(subject, b"{}", headers, expect=None, within_s=0.1)
            assert await bus.broker.depth(stream.name) >= held
        await bus.broker.append("turn.organic.peter.x.0", b"{}", {"Nats-Rollup": "all"}, expect=None)
        assert [letter.subject for letter in await buried(bus, 1)] == ["turn.organic.peter.x.0"]
        await ran(bus, "after")
        await fired(bus, "good")


@pytest.mark.parametrize("data", [b"", b"\xff", b"{}", b"[]", b'{"result": 3}', DEEP])
async def test_a_forged_reply_is_told_from_an_answer(server: servers.NatsServer, data: bytes) -> None:
    adviser, refused = test_bus.Adviser(), list[str]()
    async with connected(server) as bus:

        async def ask() -> None:
            try:
                await adviser.ask(bus, "beer", "t1", within_s=20)
            except errors.Refused as error:
                refused.append(error.code)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            await recorded(bus, "req.tuning.advise.t1.0")
            await raw.publish(server.port, b"rep.tuning.advise.\xff.0", data)
            await raw.publish(server.port, b"rep.tuning.advise.t1", data)
            await raw.publish(server.port, b"rep.tuning.advise.t1.0", data)
        assert refused == ["bad_reply"]
        async with test_bus.serving(bus, adviser.service()):
            assert (await adviser.ask(bus, "beer", "t2")).arm  # the caller lives on


async def test_a_record_full_of_garbage_can_still_be_read(server: servers.NatsServer) -> None:
    async with company(server) as bus:
        await ran(bus, "t1")
        for kind in ("rep.tuning.advise", "rep.llm.generate", "log.quality.assess", "dead.req.tuning"):
            for number, data in enumerate(BODIES.values()):
                await raw.publish(server.port, f"{kind}.t1.{number}".encode(), data)
            await raw.publish(server.port, f"{kind}.t1.\xff".encode("latin-1"))
        for number, result in enumerate(["[]", '"x"', '{"verdicts":[3]}', '{"passages":[1]}']):
            body = f'{{"result":{result}}}'.encode()
            for method in ("assess", "search", "generate", "advise"):
                await raw.publish(server.port, f"rep.quality.{method}.t1.{number}".encode(), body)
        for prefix in ("evt.message.heard", "evt.message.posted"):
            for place in PLACES:
                await raw.publish(server.port, place % prefix.encode())
        found = await bus.turn_record("t1")
        assert found.ended is not None
        assert len(found.steps) > 2 * len(BODIES)
        msgspec.json.decode(base.encode(found))  # what is shown stays JSON
        await raw.publish(server.port, b"evt.turn.ended.t2.0", b"garbage")
        assert (await bus.turn_record("t2")).ended is None
        assert len([letter async for letter in dead.letters(bus)]) >= len(BODIES)
        told = heard("words")
        await bus.publish(subjects.event("message", "heard", told.message), told)
        assert [line.text for _, (_, line) in [one async for one in history.recorded(bus)]] == [told.text]


async def test_doubled_and_disordered_messages_change_nothing(server: servers.NatsServer) -> None:
    async with company(server) as bus:
        outcome = base.encode(msgspec.structs.replace(test_bus.ended("t1", "expired"), character="counted"))
        for _ in range(3):  # before its turn, and by somebody who doesn't know of once-per-subject
            await raw.publish(server.port, b"evt.turn.ended.t1.0", outcome)
        turned = msgspec.structs.replace(too_old("t1"), character="counted", expires_at=time.time() + 60)
        await bus.publish(subjects.turn("user", "peter", "t1"), turned)
        told = heard("twice", text="Peter, you there?", to=())
        for _ in range(3):
            await raw.publish(
                server.port, subjects.event("message", "heard", told.message).encode(), base.encode(told)
            )
        turn_id = subjects.turn_id("console", "twice", "peter")
        await recorded(bus, subjects.turn("user", "peter", turn_id))
        await listened(bus, "good")
        assert len(await bus.broker.latest("TURNS", [f"turn.user.*.{turn_id}.*"])) == 1
        turns = [one async for one in bus.scan("TURNS", ("turn.>",))]
        assert len(turns) == len({one.subject for one in turns})
        request = tuning.ReportRequest(character="counted")
        report = await bus.call("tuning", "report", request, tuning.Report, turn="report")
        assert [tally.turns for tally in report.tallies] == [1]


# -- ids, offered to everything that builds a subject ----------------------------------------------------


REFUSES = r"part of a subject|not a turn id"


@pytest.mark.parametrize("hostile", HOSTILE_IDS)
async def test_hostile_ids_never_reach_the_broker(bus: connection.Connection, hostile: str) -> None:
    body, request = too_old("x", "organic"), tuning.AdviseRequest(character="peter")
    builds: list[Callable[[], str]] = [
        lambda: subjects.request("tuning", "advise", hostile),
        lambda: subjects.request(hostile, "advise", "t"),
        lambda: subjects.reply("tuning", hostile, "t"),
        lambda: subjects.event("turn", "ended", hostile),
        lambda: subjects.turn("user", hostile, "t"),
        lambda: subjects.later("organic", "peter", "t", hostile),
        lambda: subjects.say(hostile, "peter", "t"),
        lambda: subjects.token("llm", "generate", hostile),
        lambda: subjects.dead("req", "tuning", hostile),
        lambda: subjects.of_turn(hostile),
    ]
    for build in builds:
        with pytest.raises(ValueError, match=REFUSES):
            build()
    wanted: list[Callable[[], Awaitable[object]]] = [
        lambda: bus.call("tuning", "advise", request, tuning.Advice, turn=hostile),
        lambda: bus.turn_record(hostile),
        lambda: bus.recall(hostile),
        lambda: bus.ended(hostile),
        lambda: schedule.plan(bus, "organic", hostile, "t", body, at=0.0),
        lambda: schedule.plan(bus, "organic", "peter", hostile, body, at=0.0),
    ]
    for ask in wanted:
        with pytest.raises(ValueError, match=REFUSES):
            await ask()
    with pytest.raises(quahog.ConfigError):
        streams.consumer(f"discord-{hostile}")
    if hostile not in ("a.b", "x" * 65):  # a key has several words, and no bound to their length
        with pytest.raises(ValueError, match="is not a key"):
            await bus.state.get(f"lease.{hostile}")
