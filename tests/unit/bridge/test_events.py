"""GET /api/events: live, catching up, and viewers that are too slow."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import anyio
import pytest

from svc.bridge import feed, sse
from svc.bus import subjects
from svc.wire import coordinator, llm, message, turn
from tests.unit.bridge import fake, setup

pytestmark = pytest.mark.anyio


@contextlib.asynccontextmanager
async def running(bus: fake.FakeBus) -> AsyncIterator[feed.Feed]:
    """A feed without a web server."""
    subject = feed.Feed(bus.door())
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(subject.run)
        await setup.until(lambda: bus.ears() == 3)
        yield subject
        tasks.cancel_scope.cancel()


def receipt(turn_: str) -> str:
    return subjects.event("message", "posted", turn_, 0)


async def test_what_happens_is_sent_with_the_record_s_sequence(bus: fake.FakeBus) -> None:
    ended = turn.Ended(
        turn="t1", outcome="answered", character="peter", surface="console", channel="console-main"
    )
    async with setup.client(bus) as client, client.get("/api/events") as response:
        assert response.headers["Content-Type"] == "text/event-stream"
        assert await setup.events(response, 1) == [
            ("ready", "0", {"channel": "console-main", "resumed": False})
        ]
        await client.post("/api/say", json={"text": "Hi", "native": "n"})
        await bus.publish(receipt("t1"), setup.posted("t1"))
        await bus.publish("evt.turn.ended.t1.0", ended)
        found = await setup.events(response, 3)
    assert [(name, id_) for name, id_, _ in found] == [("heard", "1"), ("posted", "2"), ("ended", "3")]
    assert found[0][2]["native"] == "n"


async def test_a_channel_sees_only_its_own(bus: fake.FakeBus) -> None:
    async with setup.client(bus) as client, client.get("/api/events?channel=den") as response:
        await bus.publish(receipt("t1"), setup.posted("t1", channel="console-main"))
        await bus.publish(receipt("t2"), setup.posted("t2", channel="console-den"))
        found = await setup.events(response, 2)
    assert [data.get("turn") for _, _, data in found] == [None, "t2"]


async def test_tokens_reach_the_channel_of_their_turn(bus: fake.FakeBus) -> None:
    decision = coordinator.Decision(
        message="m", channel="console-main", speakers=("peter",), turns=("t1",), reasons={"brian": "asleep"}
    )
    async with setup.client(bus) as client, client.get("/api/events") as response:
        await setup.events(response, 1)
        await bus.cast("tok.llm.generate.unknown.1", llm.Token(text="lost"))
        await bus.publish("evt.decision.made.m.0", decision)
        found = await setup.events(response, 1)
        await bus.cast("tok.llm.generate.t1.2", llm.Token(text="Hey"))
        found += await setup.events(response, 1)
    assert found[0] == (
        "decision",
        "",
        {
            "message": "m",
            "channel": "console-main",
            "speakers": ["peter"],
            "turns": ["t1"],
            "reasons": {"brian": "asleep"},
        },
    )
    assert found[1] == (
        "token", "", {"turn": "t1", "character": "peter", "n": "2", "index": 0, "text": "Hey"},
    )  # fmt: skip


@pytest.mark.parametrize("how", ["header", "query"])
async def test_who_was_away_gets_exactly_what_it_missed(bus: fake.FakeBus, how: str) -> None:
    async with setup.client(bus) as client:
        for k in range(1, 6):
            await bus.publish(receipt(f"t{k}"), setup.posted(f"t{k}"))
        headers, params = ({"Last-Event-ID": "3"}, {}) if how == "header" else ({}, {"since": "3"})
        async with client.get("/api/events", headers=headers, params=params) as response:
            found = await setup.events(response, 3)
            await bus.publish(receipt("t6"), setup.posted("t6"))
            found += await setup.events(response, 1)
    assert [(name, id_) for name, id_, _ in found] == [
        ("posted", "4"), ("posted", "5"), ("ready", "5"), ("posted", "6"),
    ]  # fmt: skip
    assert found[2][2]["resumed"] is True


async def test_a_fresh_bridge_has_what_the_one_before_did_not_show(bus: fake.FakeBus) -> None:
    for k in range(1, 4):
        await bus.publish(receipt(f"t{k}"), setup.posted(f"t{k}"))
    async with running(bus) as subject:
        await setup.until(lambda: subject.last == 3)
        with subject.watch("console-main", 1) as known, subject.watch("console-main", None) as new:
            assert (known.resumed, len(known.missed)) == (True, 2)
            assert (new.resumed, len(new.missed)) == (False, 3)


@pytest.mark.parametrize("since", ["39", "99", "x", "", "9" * 5_000])
async def test_who_can_t_be_caught_up_is_told_to_read_the_history(since: str) -> None:
    bus = fake.FakeBus(first=41)
    async with setup.client(bus) as client:
        await bus.publish(receipt("t1"), setup.posted("t1"))
        async with client.get("/api/events", headers={"Last-Event-ID": since}) as response:
            found = await setup.events(response, 2)
    assert [(name, id_) for name, id_, _ in found] == [("posted", "41"), ("ready", "41")]
    assert found[1][2]["resumed"] is False


async def test_the_ring_forgets_the_oldest_and_knows_it(
    bus: fake.FakeBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "RING", 2)
    async with running(bus) as subject:
        for k in range(1, 6):
            await bus.publish(receipt(f"t{k}"), setup.posted(f"t{k}"))
        await setup.until(lambda: subject.last == 5)
        with subject.watch("console-main", 3) as kept, subject.watch("console-main", 2) as lost:
            assert (kept.resumed, len(kept.missed)) == (True, 2)
            assert (lost.resumed, len(lost.missed)) == (False, 2)


async def test_a_viewer_that_is_too_slow_is_dropped_and_catches_up(
    bus: fake.FakeBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "BACKLOG", 2)
    async with running(bus) as subject:
        with subject.watch("console-main", None) as slow, subject.watch("console-den", None) as other:
            for k in range(1, 5):
                await bus.publish(receipt(f"t{k}"), setup.posted(f"t{k}"))
            await setup.until(lambda: subject.last == 4)
            assert subject.dropped == 1
            assert subject.viewers() == 1
            assert [await slow.frames.receive() for _ in range(2)]
            with pytest.raises(anyio.EndOfStream):
                await slow.frames.receive()
            assert other.frames.statistics().current_buffer_used == 0
        with subject.watch("console-main", 2) as again:
            assert (again.resumed, len(again.missed)) == (True, 2)
    assert subject.viewers() == 0


async def test_there_is_room_for_so_many(bus: fake.FakeBus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "VIEWERS_MAX", 0)
    async with setup.client(bus) as client:
        response = await client.get("/api/events")
        assert (response.status, (await response.json(content_type=None))["code"]) == (
            503,
            "too_many_viewers",
        )


async def test_an_unreadable_message_does_not_stop_the_feed(
    bus: fake.FakeBus, caplog: pytest.LogCaptureFixture
) -> None:
    async with setup.client(bus) as client, client.get("/api/events") as response:
        await setup.events(response, 1)
        await bus.publish(receipt("t1"), coordinator.HistoryRequest(channel="not a receipt"))
        await bus.publish("evt.message.deleted.m.0", coordinator.HistoryRequest(channel="of no interest"))
        await bus.publish(receipt("t2"), setup.posted("t2"))
        found = await setup.events(response, 1)
    assert found[0][1] == "3"
    assert "skipped evt.message.posted.t1.0" in caplog.text


async def test_the_record_is_read_once_for_all(bus: fake.FakeBus) -> None:
    async with setup.client(bus) as client, client.get("/api/events"), client.get("/api/events"):
        assert bus.follows == 1


async def test_silence_has_a_heartbeat(bus: fake.FakeBus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "HEARTBEAT_S", 0.01)
    async with setup.client(bus) as client, client.get("/api/events") as response:
        await setup.events(response, 1)
        with anyio.fail_after(setup.DEADLINE_S):
            assert await response.content.readline() == b": still here\n"


def test_a_frame() -> None:
    assert sse.frame("a", b"{}", sequence=7) == b"id: 7\nevent: a\ndata: {}\n\n"
    assert sse.frame("a", b"{}") == b"event: a\ndata: {}\n\n"


async def test_text_with_newlines_stays_one_event(bus: fake.FakeBus) -> None:
    text = "one\n\ndata: two\r\nid: 9\u2028"
    async with setup.client(bus) as client, client.get("/api/events") as response:
        await setup.events(response, 1)
        await bus.publish(receipt("t1"), setup.posted("t1", text))
        assert (await setup.events(response, 1))[0][2]["text"] == text
    assert isinstance(bus.published[receipt("t1")], message.Posted)
