"""Poison is told from what was given back, and the innocent beside it are spared."""

from __future__ import annotations

import time

import anyio
import pytest

from svc.bus import api, broker, connection, errors, job, limits, memory, service, status, subjects, suspect
from svc.bus import middleware as around
from svc.wire import base, turn

pytestmark = pytest.mark.anyio

LATE = limits.TRUSTED_DELIVERIES + 1
CONSUMER = "tuning-outcomes"


def delivery(turn_id: str = "t1", deliveries: int = LATE) -> broker.Delivery:
    body = turn.Ended(turn=turn_id, outcome="answered", character="peter", surface="console", channel="c")
    sequence = int(turn_id.removeprefix("t"))
    subject = subjects.event("turn", "ended", turn_id)
    message = api.Message(subject, base.encode(body), {}, "RECORD", sequence, time.time())
    return broker.Delivery(message, deliveries, "token")


class Process:
    """One process that listens; `raises` is what its handler does."""

    def __init__(self, source: memory.Memory, name: str, raises: BaseException | None = None) -> None:
        self.source = source
        self.suspects = suspect.Suspects(source, name)
        self.handled: list[str] = []
        self.words: list[str] = []
        self.begun = anyio.Event()
        self.go_on = anyio.Event()
        self.go_on.set()
        self._raises = raises
        listen = service.Listen(CONSUMER, "evt.turn.ended", turn.Ended, self._take, buried=self._say)
        self.chain = around.chain_for_listen(source, self.suspects, listen, status.Tally())

    async def _take(self, ended: turn.Ended, _job: job.Job) -> None:
        self.handled.append(ended.turn)
        self.begun.set()
        await self.go_on.wait()
        if self._raises:
            raise self._raises

    async def _say(self, ended: turn.Ended, _job: job.Job, reason: str) -> None:
        self.words.append(reason)
        if self._raises:
            raise self._raises

    async def deliver(self, given: broker.Delivery) -> None:
        circumstances = job.Job(
            bus=connection.Connection(self.source, "here"),
            subject=subjects.parse(given.message.subject),
            deadline=time.time() + 5,
            stored_at=given.message.at,
            sequence=given.message.sequence,
            deliveries=given.deliveries,
            deliveries_max=limits.PATIENCE_MAX,
        )
        await self.chain(given, circumstances)

    async def die(self, given: broker.Delivery) -> None:
        """Begin, and never be heard of again."""
        await self.suspects.begin(CONSUMER, given)


async def names(source: memory.Memory) -> int:
    return len(await source.latest(suspect.STREAM, [">"]))


async def letters(source: memory.Memory) -> int:
    return len(await source.latest("DEAD", ["dead.>"]))


async def test_the_first_deliveries_cost_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    source = memory.Memory()
    one = Process(source, "one")

    async def costs(*_: object) -> int:
        raise AssertionError

    monkeypatch.setattr(one.suspects, "begin", costs)
    for deliveries in range(1, LATE):
        await one.deliver(delivery(deliveries=deliveries))
    assert len(one.handled) == limits.TRUSTED_DELIVERIES


async def test_a_message_that_ends_every_process_is_buried() -> None:
    source = memory.Memory()
    for number in range(limits.DELIVERIES_MAX):
        await Process(source, f"dead{number}").die(delivery(deliveries=LATE + number))
    last = Process(source, "last")
    await last.deliver(delivery(deliveries=LATE + limits.DELIVERIES_MAX))
    assert last.handled == []
    assert last.words == ["PoisonError: 5 processes ended or hung while they worked on it"]
    assert (await letters(source), await names(source)) == (1, 0)


async def test_one_crash_less_is_not_poison() -> None:
    source = memory.Memory()
    for number in range(limits.DELIVERIES_MAX - 1):
        await Process(source, f"dead{number}").die(delivery())
    last = Process(source, "last")
    await last.deliver(delivery())
    assert last.handled == ["t1"]
    assert (await letters(source), await names(source)) == (0, 0)


async def test_given_back_many_times_is_no_crash_and_clears_the_page() -> None:
    source = memory.Memory()
    await Process(source, "dead").die(delivery())
    for number in range(3 * limits.DELIVERIES_MAX):
        with pytest.raises(errors.Retry):
            await Process(source, f"p{number}", errors.Retry("not yet")).deliver(
                delivery(deliveries=LATE + number)
            )
        assert await names(source) == 0
    assert await letters(source) == 0


async def test_who_is_stopped_takes_only_its_own_name_back() -> None:
    source = memory.Memory()
    await Process(source, "dead").die(delivery())
    stopped = Process(source, "stopped")
    stopped.go_on = anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(stopped.deliver, delivery())
        await stopped.begun.wait()
        tasks.cancel_scope.cancel()
    assert await suspect.Suspects(source, "next").begin(CONSUMER, delivery()) == 1


async def test_our_own_name_is_no_evidence() -> None:
    """The broker was killed and delivers again what we still work on."""
    source = memory.Memory()
    one = Process(source, "one")
    for _ in range(2 * limits.DELIVERIES_MAX):
        assert await one.suspects.begin(CONSUMER, delivery()) == 0
    await one.deliver(delivery())
    assert one.handled == ["t1"]


async def test_a_process_that_only_hung_takes_its_name_back() -> None:
    source = memory.Memory()
    hung, other = suspect.Suspects(source, "hung"), suspect.Suspects(source, "other")
    assert await hung.begin(CONSUMER, delivery()) == 0
    assert await other.begin(CONSUMER, delivery()) == 1
    await hung.end(CONSUMER, delivery(), survived=False)
    assert await suspect.Suspects(source, "third").begin(CONSUMER, delivery()) == 1  # only `other`
    await other.end(CONSUMER, delivery(), survived=True)
    await hung.end(CONSUMER, delivery(), survived=False)
    assert await names(source) == 0


async def crash(source: memory.Memory, *turns: str, times: int) -> None:
    """So many processes die while they work on all of these."""
    for number in range(times):
        crashed = Process(source, f"crashed{number}")
        for turn_id in turns:
            await crashed.die(delivery(turn_id))


async def test_what_killed_too_often_is_tried_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A crash takes down what runs beside the poison: nobody innocent may run beside it again and again."""
    monkeypatch.setattr(limits, "QUARANTINE_S", 0.05)
    source = memory.Memory()
    await crash(source, "t1", "t2", times=limits.ALONE_CRASHES)
    one = Process(source, "one")
    one.go_on = anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(one.deliver, delivery("t1"))
        await one.begun.wait()
        with pytest.raises(errors.Retry, match="tried first") as caught:
            await one.deliver(delivery("t2"))
        assert caught.value.after_s == limits.QUARANTINE_S
        crashes = limits.ALONE_CRASHES  # we didn't sign
        assert await suspect.Suspects(source, "peek").begin(CONSUMER, delivery("t2")) == crashes
        tasks.start_soon(one.deliver, delivery("t3"))  # nobody died of this one
        with anyio.fail_after(2):
            while "t3" not in one.handled:
                await anyio.sleep(0.001)
        one.go_on.set()
    await one.deliver(delivery("t2"))
    assert one.handled == ["t1", "t3", "t2"]


async def test_a_few_restarts_do_not_make_answers_come_one_by_one() -> None:
    source = memory.Memory()
    await crash(source, "t1", "t2", times=limits.ALONE_CRASHES - 1)
    one = Process(source, "one")
    one.go_on = anyio.Event()
    async with anyio.create_task_group() as tasks:
        for turn_id in ("t1", "t2"):
            tasks.start_soon(one.deliver, delivery(turn_id))
        with anyio.fail_after(2):
            while len(one.handled) < 2:
                await anyio.sleep(0.001)
        one.go_on.set()


@pytest.mark.parametrize("more", [0, 1], ids=["as many as may wait", "one more"])
async def test_those_that_must_be_alone_follow_each_other(more: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a pause: a pause for each would be minutes for all."""
    monkeypatch.setattr(limits, "QUARANTINE_S", 60.0)
    source = memory.Memory()
    turns = [f"t{number}" for number in range(1 + suspect.WAITING_MAX + more)]
    await crash(source, *turns, times=limits.ALONE_CRASHES)
    one, given_back = Process(source, "one"), 0

    async def deliver(turn_id: str) -> None:
        nonlocal given_back
        try:
            await one.deliver(delivery(turn_id))
        except errors.Retry:
            given_back += 1

    with anyio.fail_after(5):
        one.go_on = anyio.Event()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(deliver, turns[0])
            await one.begun.wait()
            for turn_id in turns[1:]:
                tasks.start_soon(deliver, turn_id)
            await anyio.wait_all_tasks_blocked()
            assert one.handled == ["t0"]
            one.go_on.set()
    assert (len(one.handled), given_back) == (len(turns) - more, more)
    assert await names(source) == more


async def test_who_is_stopped_while_it_waits_leaves_the_place_to_others() -> None:
    source = memory.Memory()
    await crash(source, "t1", "t2", "t3", times=limits.ALONE_CRASHES)
    one = Process(source, "one")
    one.go_on = anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(one.deliver, delivery("t1"))
        await one.begun.wait()
        async with anyio.create_task_group() as stopped:
            stopped.start_soon(one.deliver, delivery("t2"))
            await anyio.wait_all_tasks_blocked()
            stopped.cancel_scope.cancel()
        tasks.start_soon(one.deliver, delivery("t3"))
        await anyio.wait_all_tasks_blocked()
        one.go_on.set()
    assert one.handled == ["t1", "t3"]


async def test_last_words_that_kill_are_left_unsaid_in_the_end() -> None:
    source = memory.Memory()
    for number in range(2 * limits.DELIVERIES_MAX):
        await Process(source, f"dead{number}").die(delivery())
    last = Process(source, "last")
    await last.deliver(delivery())
    assert (last.handled, last.words) == ([], [])
    assert await letters(source) == 1


async def test_poison_that_could_not_be_buried_stays_poison() -> None:
    source = memory.Memory()
    for number in range(limits.DELIVERIES_MAX):
        await Process(source, f"dead{number}").die(delivery())
    with pytest.raises(errors.Retry, match="no last words"):
        await Process(source, "one", errors.NotAccepted("no broker")).deliver(delivery())
    two = Process(source, "two")
    await two.deliver(delivery())
    assert (two.handled, len(two.words)) == ([], 1)


async def test_without_the_bucket_messages_are_worked_on_unsigned(monkeypatch: pytest.MonkeyPatch) -> None:
    source = memory.Memory()

    async def refuse(*_: object, **__: object) -> int:
        raise errors.NotAccepted("no broker")

    async def hang(*_: object) -> None:
        await anyio.sleep_forever()

    monkeypatch.setattr(suspect, "SIGN_S", 0.02)
    for name, trouble in (("append", refuse), ("last", refuse), ("last", hang)):
        with monkeypatch.context() as patch:
            patch.setattr(source, name, trouble)
            one = Process(source, "one")
            with anyio.fail_after(2):
                await one.deliver(delivery())
            assert one.handled == ["t1"]


async def test_what_is_no_signature_is_written_over() -> None:
    source = memory.Memory()
    await source.append(f"$KV.SUSPECT.{CONSUMER}.1", b"\xff", {}, expect=None)
    one = Process(source, "one")
    await one.deliver(delivery())
    assert (one.handled, await names(source)) == (["t1"], 0)


async def test_two_who_sign_at_once_both_stand_there() -> None:
    source = memory.Memory()
    async with anyio.create_task_group() as tasks:
        for number in range(4):
            tasks.start_soon(suspect.Suspects(source, f"p{number}").begin, CONSUMER, delivery())
    assert await suspect.Suspects(source, "next").begin(CONSUMER, delivery()) == 4
