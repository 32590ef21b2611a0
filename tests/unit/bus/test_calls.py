"""The caller's side of a recorded call: the first stored reply counts, however it is heard of."""

from __future__ import annotations

import anyio
import anyio.lowlevel
import msgspec
import pytest

from svc.bus import api, broker, calls, errors, limits, memory, subjects
from svc.wire import base, envelope, tuning

pytestmark = pytest.mark.anyio

REPLY = subjects.reply("tuning", "advise", "t1", 1)
GOT = subjects.build("got", "tuning", "advise", "t1", 1)
REQUEST = tuning.AdviseRequest(character="peter")


def answer(arm: str) -> bytes:
    return base.encode(envelope.Reply(result=msgspec.Raw(base.encode(tuning.Advice(arm=arm)))))


def got(data: bytes) -> api.Message:
    return api.Message(GOT, data, {})


class Deaf(memory.Memory):
    """A broker whose notifications never arrive; counts subscriptions that are still open."""

    def __init__(self) -> None:
        super().__init__()
        self.open = 0
        self.reconnected: list[object] = []

    async def subscribe(self, pattern: str, callback: broker.Callback) -> broker.Subscription:
        await anyio.lowlevel.checkpoint()
        self.open += 1
        return self

    async def close(self) -> None:
        await anyio.lowlevel.checkpoint()
        self.open -= 1


async def ask(caller: calls.Caller, *, n: int = 1, within_s: float = 2.0) -> tuning.Advice:
    return await caller.call(
        "tuning", "advise", REQUEST, tuning.Advice, turn="t1", n=n, within_s=within_s, headers={}
    )


async def test_the_first_reply_counts() -> None:
    scope = calls.Scope("t1")
    scope.arrived(got(b"first"), "")
    scope.arrived(got(b"second"), "")
    scope.learn(REPLY, b"third")
    assert scope.known(REPLY) == b"first"
    assert await scope.wait(REPLY, 0.0) == b"first"
    assert scope.subjects() == (REPLY,)


async def test_everybody_who_waits_gets_the_reply() -> None:
    scope = calls.Scope("t1")
    heard: list[bytes | None] = []

    async def wait() -> None:
        heard.append(await scope.wait(REPLY, 2.0))

    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        scope.arrived(got(b"data"), "")
    assert heard == [b"data"] * 3


async def test_one_who_gives_up_does_not_take_the_others_along() -> None:
    scope = calls.Scope("t1")
    heard: list[bytes | None] = []

    async def wait() -> None:
        heard.append(await scope.wait(REPLY, 2.0))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        assert await scope.wait(REPLY, 0.01) is None
        scope.arrived(got(b"data"), "")
    assert heard == [b"data"]


async def test_a_late_reply_is_known_afterwards() -> None:
    scope = calls.Scope("t1")
    assert await scope.wait(REPLY, 0.0) is None
    scope.arrived(got(b"late"), "")
    assert await scope.wait(REPLY, 0.0) == b"late"


async def test_a_nudge_wakes_everybody_and_the_next_wait_still_works() -> None:
    scope = calls.Scope("t1")
    heard: list[bytes | None] = []

    async def wait() -> None:
        heard.append(await scope.wait(REPLY, 2.0))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        scope.nudge()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        scope.arrived(got(b"data"), "")
    assert heard == [None, b"data"]


async def test_a_missed_notification_is_found_in_the_record() -> None:
    source = Deaf()
    caller = calls.Caller(source)
    await source.append(REPLY, answer("recorded"), {})
    assert (await ask(caller, within_s=0.05)).arm == "recorded"


async def test_after_a_reconnect_the_record_is_read_at_once() -> None:
    source = Deaf()
    caller = calls.Caller(source)
    found: list[tuning.Advice] = []

    async def call() -> None:
        found.append(await ask(caller, within_s=30.0))

    with anyio.fail_after(2.0):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call)
            while await source.last(subjects.request("tuning", "advise", "t1", 1)) is None:
                await anyio.lowlevel.checkpoint()
            await anyio.wait_all_tasks_blocked()
            await source.append(REPLY, answer("stored meanwhile"), {})
            caller._reconnected()
    assert found[0].arm == "stored meanwhile"


async def test_no_answer_in_time_is_no_reply_and_no_time_asks_nobody() -> None:
    source = memory.Memory()
    caller = calls.Caller(source)
    with pytest.raises(errors.NoReply, match="accepted, but no answer"):
        await ask(caller, within_s=0.01)
    with pytest.raises(errors.NoReply, match="deadline has passed"):
        await ask(caller, n=2, within_s=0.0)
    assert await source.last(subjects.request("tuning", "advise", "t1", 2)) is None


async def test_a_request_carries_its_deadline_and_what_it_was_given() -> None:
    source = memory.Memory()
    with pytest.raises(errors.NoReply):
        await calls.Caller(source).call(
            "tuning",
            "advise",
            REQUEST,
            tuning.Advice,
            turn="t1",
            n=1,
            within_s=0.02,
            headers={broker.TRACEPARENT: "00-aa-bb-01"},
        )
    stored = await source.last(subjects.request("tuning", "advise", "t1", 1))
    assert stored is not None
    assert stored.headers[broker.TRACEPARENT] == "00-aa-bb-01"
    assert 0 < int(stored.headers[broker.DEADLINE]) <= 20
    assert base.decode(stored.data, tuning.AdviseRequest) == REQUEST


async def test_a_known_reply_is_not_asked_for() -> None:
    source = memory.Memory()
    caller = calls.Caller(source)
    async with caller.scope("t1") as scope:
        scope.learn(REPLY, answer("known"))
        assert (await ask(caller)).arm == "known"
    assert await source.last(subjects.request("tuning", "advise", "t1", 1)) is None


async def test_recall_finds_the_replies_of_both_streams() -> None:
    source = memory.Memory()
    model = subjects.reply("llm", "generate", "t1", 1)
    for subject in (REPLY, model, subjects.reply("tuning", "advise", "t2", 1)):
        await source.append(subject, b"{}", {})
    assert set(await calls.Caller(source).recall("t1")) == {REPLY, model}


async def test_a_scope_is_shared_and_its_subscription_closed_with_the_last_user() -> None:
    source = Deaf()
    caller = calls.Caller(source)
    async with caller.scope("t1") as outer:
        async with caller.scope("t1") as inner:
            assert inner is outer
        assert source.open == 1
    assert source.open == 0
    async with caller.scope("t1") as later:
        assert later is not outer
    assert source.open == 0


async def test_two_who_open_a_scope_at_once_leave_no_subscription_behind() -> None:
    source = Deaf()
    caller = calls.Caller(source)

    async def use() -> None:
        async with caller.scope("t1"):
            await anyio.sleep(0.01)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(use)
        tasks.start_soon(use)
    assert source.open == 0


def test_a_recorded_refusal_is_raised_with_its_code() -> None:
    refusal = envelope.Refusal(code="no_advice", message="ask somebody else")
    with pytest.raises(errors.Refused, match="ask somebody else") as caught:
        calls.unwrap(base.encode(envelope.Reply(refusal=refusal)), tuning.Advice)
    assert caught.value.code == "no_advice"
    assert calls.unwrap(answer("a"), tuning.Advice).arm == "a"


@pytest.mark.parametrize("data", [b"{}", b"not json", b'{"result":{"arm":3}}', b'{"refusal":{}}'])
def test_a_recorded_reply_that_is_none_is_refused(data: bytes) -> None:
    with pytest.raises(errors.Refused) as caught:
        calls.unwrap(data, tuning.Advice)
    assert caught.value.code == "bad_reply"


async def test_a_request_that_the_broker_forgot_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """And says so, for whoever takes it to look into the record first."""
    monkeypatch.setattr(limits, "RECHECK_S", 0.01)
    source = memory.Memory()
    request = subjects.request("tuning", "advise", "t1", 1)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_expect_no_reply, calls.Caller(source))
        with anyio.fail_after(2):
            first = await stored(source, request)
            source._streams["WORK_tuning"].clear()
            source._last.clear()
            again = await stored(source, request)
        tasks.cancel_scope.cancel()
    assert broker.REPEATED not in first.headers
    assert broker.REPEATED in again.headers
    assert again.data == first.data


async def stored(source: memory.Memory, subject: str) -> api.Message:
    """Once it is there."""
    while (message := await source.last(subject)) is None:
        await anyio.lowlevel.checkpoint()
    return message


async def _expect_no_reply(caller: calls.Caller) -> None:
    with pytest.raises(errors.NoReply):
        await ask(caller, within_s=5.0)
