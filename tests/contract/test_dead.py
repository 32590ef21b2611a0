"""Dead letters: found, tried again, dropped; the same on every broker."""

from __future__ import annotations

import time

import anyio
import pytest

from svc.bus import broker, connection, dead, errors, job, middleware, service, subjects, trace
from svc.wire import base, envelope, message, turn
from tests.contract import test_bus

pytestmark = pytest.mark.anyio


class Listener:
    """Handles outcomes; fails until it is mended."""

    def __init__(self) -> None:
        self.mended = False
        self.jobs: list[job.Job] = []

    async def take(self, _ended: turn.Ended, job_: job.Job) -> None:
        self.jobs.append(job_)
        if not self.mended:
            raise RuntimeError("boom")

    def service(self) -> service.Service:
        return service.Service(
            "tuning", listens=(service.Listen("tuning-outcomes", "evt.turn.ended", turn.Ended, self.take),)
        )


async def until(bus: connection.Connection, count: int) -> list[dead.Letter]:
    with anyio.fail_after(8):
        while len(found := [letter async for letter in dead.letters(bus)]) != count:
            await anyio.sleep(0.02)
    return found


async def bury(
    bus: connection.Connection, subject: str, data: bytes, headers: dict[str, str] | None = None
) -> int:
    """Store a message, bury it, and give the number of its letter."""
    sequence = await bus.broker.append(subject, data, headers or {})
    stored = await bus.broker.last(subject)
    assert stored is not None
    assert stored.sequence == sequence
    await middleware.bury(bus.broker, broker.Delivery(stored, 3, "token"), ValueError("no"))
    return [letter async for letter in dead.letters(bus)][-1].number


def heard(text: str = "Hi") -> message.Heard:
    return message.Heard(
        message="m1", native="1", surface="console", channel="c", author=message.Author(id="1"), text=text
    )


async def test_a_message_is_read_and_deleted_by_its_place(bus: connection.Connection) -> None:
    subject = subjects.event("turn", "ended", "t1")
    first = await bus.broker.append(subject, b"1", {"Some-Header": "x"}, expect=None)
    second = await bus.broker.append(subject, b"2", {}, expect=None)
    stored = await bus.broker.read("RECORD", first)
    assert stored is not None
    assert (stored.subject, stored.data, stored.sequence) == (subject, b"1", first)
    assert stored.headers["Some-Header"] == "x"
    assert await bus.broker.delete("RECORD", second)
    assert not await bus.broker.delete("RECORD", second)
    assert not await bus.broker.delete("RECORD", second + 100)
    assert await bus.broker.read("RECORD", second) is None
    assert await bus.broker.read("RECORD", second + 100) is None
    last = await bus.broker.last(subject)
    assert last is not None
    assert last.sequence == first  # the one before it is the last again
    assert await bus.broker.delete("RECORD", first)
    assert await bus.broker.last(subject) is None
    await bus.broker.append(subject, b"3", {}, expect=0)  # as if it had never been written


async def test_a_letter_says_where_it_came_from(bus: connection.Connection) -> None:
    began = time.time()
    number = await bury(bus, subjects.event("message", "heard", "m1"), base.encode(heard()), {"X": "y"})
    letter = await dead.find(bus.broker, number)
    stored = await bus.last(subjects.event("message", "heard", "m1"))
    assert stored is not None
    assert (letter.dead.subject, letter.dead.stream) == (stored.subject, "RECORD")
    assert (letter.dead.sequence, letter.dead.stored_at) == (stored.sequence, stored.at)
    assert letter.dead.headers["X"] == "y"
    assert abs(letter.buried_at - began) < 5
    assert await dead.count(bus.broker) == 1


async def test_an_event_comes_again_in_its_old_place_and_the_letter_is_gone(
    bus: connection.Connection,
) -> None:
    listener = Listener()
    async with test_bus.serving(bus, listener.service()):
        await bus.publish(subjects.event("turn", "ended", "t1"), test_bus.ended("t1", "answered"))
        (letter,) = await until(bus, 1)
        listener.mended = True
        done = await dead.retry(bus.broker, letter.number)
        assert (done.number, done.subject, done.answer) == (letter.number, "evt.turn.ended.t1.0", "")
        with anyio.fail_after(5):
            while len(listener.jobs) < 2:
                await anyio.sleep(0.01)
        await anyio.sleep(0.1)
    assert await until(bus, 0) == []
    first, second = listener.jobs
    assert second.maybe_repeated()
    assert (second.sequence, round(second.first_at, 2)) == (first.sequence, round(first.stored_at, 2))
    assert second.stored_at > first.stored_at


async def test_what_fails_again_is_buried_again_under_a_new_number(bus: connection.Connection) -> None:
    listener = Listener()
    async with test_bus.serving(bus, listener.service()):
        await bus.publish(subjects.event("turn", "ended", "t1"), test_bus.ended("t1", "answered"))
        (letter,) = await until(bus, 1)
        await dead.retry(bus.broker, letter.number)
        with anyio.fail_after(5):
            while len(listener.jobs) < 2:
                await anyio.sleep(0.01)
        (again,) = await until(bus, 1)
    assert again.number > letter.number
    assert again.dead.sequence == letter.dead.sequence
    assert again.dead.stored_at == pytest.approx(letter.dead.stored_at, abs=0.001)


async def test_a_request_is_asked_again_under_a_new_n(bus: connection.Connection) -> None:
    adviser = test_bus.Adviser()
    async with test_bus.serving(bus, adviser.service()):
        with pytest.raises(errors.Refused, match="boom"):
            await adviser.ask(bus, "crash", "t1")
        (letter,) = await until(bus, 1)
        done = await dead.retry(bus.broker, letter.number)
        assert (done.subject, done.answer) == ("req.tuning.advise.t1.0-r1", "rep.tuning.advise.t1.0-r1")
        with anyio.fail_after(5):
            while await bus.last(done.answer) is None:
                await anyio.sleep(0.01)
        (letter,) = await until(bus, 1)  # it crashed again
        assert letter.dead.subject == done.subject
        assert (await dead.retry(bus.broker, letter.number)).subject == "req.tuning.advise.t1.0-r2"
        (letter,) = await until(bus, 1)
    assert adviser.calls == 3
    old = await bus.last(subjects.reply("tuning", "advise", "t1"))
    assert old is not None
    assert b"buried" in old.data  # what was answered stays answered


async def test_the_longest_n_makes_room_for_the_try(bus: connection.Connection) -> None:
    number = await bury(bus, subjects.request("tuning", "advise", "t1", "n" * 64), b"{}")
    done = await dead.retry(bus.broker, number)
    assert subjects.parse(done.subject).n == "n" * 61 + "-r1"


async def test_a_request_is_not_tried_for_ever(
    bus: connection.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dead, "RETRIES_MAX", 2)
    number = await bury(bus, subjects.request("tuning", "advise", "t1"), b"{}")
    for k in (1, 2):
        await bus.publish(subjects.reply("tuning", "advise", "t1", f"0-r{k}"), envelope.Reply())
    with pytest.raises(errors.Refused) as caught:
        await dead.retry(bus.broker, number)
    assert caught.value.code == "retried_too_often"
    assert await dead.count(bus.broker) == 1


async def test_a_turn_runs_again_only_without_an_outcome(bus: connection.Connection) -> None:
    body = turn.Turn(
        id="t1", origin="user", character="peter", surface="console", channel="c", message="m", text="Hi",
        author=message.Author(id="1"), expires_at=time.time() - 60,
    )  # fmt: skip
    number = await bury(bus, subjects.turn("user", "peter", "t1"), base.encode(body))
    done = await dead.retry(bus.broker, number)
    assert done.subject == "turn.user.peter.t1.0"
    assert "it ends as expired" in done.note
    stored = await bus.last(done.subject)
    assert stored is not None
    assert base.decode(stored.data, turn.Turn) == body
    await middleware.bury(bus.broker, broker.Delivery(stored, 3, "token"), ValueError("no"))
    (letter,) = [letter async for letter in dead.letters(bus)]
    await bus.publish(subjects.event("turn", "ended", "t1"), test_bus.ended("t1", "notice"))
    with pytest.raises(errors.Refused, match="ask again") as caught:
        await dead.retry(bus.broker, letter.number)
    assert caught.value.code == "turn_has_ended"
    assert await dead.count(bus.broker) == 1


async def test_only_the_trace_of_the_old_headers_is_sent_again(bus: connection.Connection) -> None:
    """Others command the broker (`Nats-Rollup` would empty a stream), or carry a deadline that is over."""
    old = {broker.TRACEPARENT: trace.of_turn("t1"), broker.DEADLINE: "1", "Some-Header": "x"}
    number = await bury(bus, subjects.event("message", "heard", "m1"), base.encode(heard()), old)
    await dead.retry(bus.broker, number)
    stored = await bus.last(subjects.event("message", "heard", "m1"))
    assert stored is not None
    kept = {name for name in stored.headers if name.startswith(("Quahog-", "Some-", "trace"))}
    assert kept == {broker.TRACEPARENT, broker.REPEATED, "Quahog-First-Sequence", "Quahog-First-At"}


LONG = base.encode(heard('"' * 200_000))


@pytest.mark.parametrize(
    ("subject", "data"),
    [
        (subjects.event("message", "heard", "m1"), LONG),
        (subjects.say("console", "peter", "t1"), b"\xff" * 400_000),
        (subjects.request("tuning", "advise", "t1"), LONG),
    ],
)
async def test_a_body_that_was_cut_is_taken_from_the_record(
    bus: connection.Connection, subject: str, data: bytes
) -> None:
    number = await bury(bus, subject, data)
    letter = await dead.find(bus.broker, number)
    assert letter.dead.body.endswith(middleware.CUT)
    done = await dead.retry(bus.broker, number)
    stored = await bus.last(done.subject)
    assert stored is not None
    assert stored.data == data


async def test_a_body_that_is_lost_is_said_to_be(bus: connection.Connection) -> None:
    number = await bury(bus, subjects.event("message", "heard", "m1"), LONG)
    letter = await dead.find(bus.broker, number)
    await bus.broker.delete("RECORD", letter.dead.sequence)
    with pytest.raises(errors.Refused, match="only the beginning") as caught:
        await dead.retry(bus.broker, number)
    assert caught.value.code == "body_lost"
    assert await dead.count(bus.broker) == 1


@pytest.mark.parametrize(
    "data", [b"\xff\xfe", b"base64:aGk=", b"base64:nonsense", b"", "é".encode(), b"base64://8="]
)
async def test_every_body_comes_back_as_it_was(bus: connection.Connection, data: bytes) -> None:
    number = await bury(bus, subjects.say("console", "peter", "t1"), data)
    done = await dead.retry(bus.broker, number)
    stored = await bus.last(done.subject)
    assert stored is not None
    assert stored.data == data


async def test_dropped_is_gone(bus: connection.Connection) -> None:
    number = await bury(bus, subjects.event("message", "heard", "m1"), base.encode(heard()))
    await dead.drop(bus.broker, number)
    assert await dead.count(bus.broker) == 0
    for act in (dead.drop, dead.retry, dead.find):
        with pytest.raises(errors.Refused, match=f"no dead letter #{number}") as caught:
            await act(bus.broker, number)
        assert caught.value.code == "unknown_letter"


@pytest.mark.parametrize("number", [0, -1, 10**17])
async def test_there_is_no_such_letter(bus: connection.Connection, number: int) -> None:
    with pytest.raises(errors.Refused, match="quahog dead list"):
        await dead.find(bus.broker, number)


@pytest.mark.parametrize(
    "data", [b"not json", b"\xff", b"{}", b'{"subject": "a b", "stream": "", "reason": "",']
)
async def test_what_strangers_wrote_to_dead_can_be_seen_and_dropped(
    bus: connection.Connection, data: bytes
) -> None:
    number = await bus.broker.append("dead.x.y.z.0", data, {})
    (letter,) = [letter async for letter in dead.letters(bus)]
    assert (letter.number, letter.dead.reason[:20]) == (number, "not a letter of ours")
    with pytest.raises(errors.Refused, match="nothing to try") as caught:
        await dead.retry(bus.broker, number)
    assert caught.value.code == "alien"
    await dead.drop(bus.broker, number)
    assert await dead.count(bus.broker) == 0


@pytest.mark.parametrize(
    "subject", ["$JS.API.STREAM.PURGE.RECORD", "rep.llm.generate.t1.0", "turn.forged.p.t.0", ">"]
)
async def test_a_forged_letter_is_not_published_for_anybody(bus: connection.Connection, subject: str) -> None:
    forged = envelope.Dead(subject=subject, stream="RECORD", reason="r", deliveries=1, at=0.0, body="{}")
    await bus.publish(subjects.event("message", "heard", "m1"), heard())
    number = await bus.broker.append("dead.x.y.z.0", base.encode(forged), {})
    with pytest.raises(errors.Refused):
        await dead.retry(bus.broker, number)
    assert await bus.last(subjects.event("message", "heard", "m1"))


async def test_the_largest_headers_can_be_buried_too(bus: connection.Connection) -> None:
    """The server takes 64 KiB of them; a dead letter writes a character as six."""
    headers = {f"X-{number}": "\x01" * 1000 for number in range(60)}
    number = await bury(bus, subjects.event("message", "heard", "m1"), b"\x01" * 200_000, headers)
    assert (await dead.find(bus.broker, number)).dead.body.endswith(middleware.CUT)
