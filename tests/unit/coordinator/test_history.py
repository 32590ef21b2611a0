"""Histories: kept in order, found again whatever was lost."""

from __future__ import annotations

import pytest

from svc import cache
from svc.bus import subjects
from svc.coordinator import history
from svc.wire import message
from tests.unit import fake_redis
from tests.unit.coordinator import setup

pytestmark = pytest.mark.anyio


def line(number: int, text: str = "") -> message.Utterance:
    return message.Utterance(
        id=f"m{number}", author=message.Author(id="1", name="Ann"), text=text or f"line {number}"
    )


async def texts(channels: history.Channels, channel: str = setup.CHANNEL) -> list[str]:
    return [one.text for one in await channels.read(channel)]


async def record(room: setup.Room, *heard: message.Heard | message.Posted) -> None:
    for one in heard:
        if isinstance(one, message.Heard):
            subject = subjects.event("message", "heard", one.message, one.revision)
        else:
            subject = subjects.event("message", "posted", one.turn, one.piece)
        await room.bus.publish(subject, one)


async def test_lines_are_in_the_order_of_the_record_whenever_they_came() -> None:
    room = setup.Room()
    channels = room.channels()
    for number in (3, 1, 2):
        await channels.add("c", number, line(number))
    assert await texts(channels, "c") == ["line 1", "line 2", "line 3"]
    assert await texts(room.channels(), "c") == ["line 1", "line 2", "line 3"]


async def test_a_line_written_twice_is_there_once_and_an_edit_replaces_it() -> None:
    room = setup.Room()
    channels = room.channels()
    for _ in range(2):
        await channels.add("c", 1, line(1))
    await channels.add("c", 2, line(2))
    await channels.add("c", 3, line(1, "edited"))
    assert await texts(channels, "c") == ["line 2", "edited"]
    assert await texts(room.channels(), "c") == ["line 2", "edited"]


async def test_channels_do_not_mix_and_an_unknown_one_is_empty() -> None:
    channels = setup.Room().channels()
    await channels.add("c", 1, line(1))
    await channels.add("d", 2, line(2))
    assert await texts(channels, "c") == ["line 1"]
    assert await texts(channels, "nowhere") == []


async def test_only_the_newest_lines_are_kept_for_a_day(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "LINES_MAX", 3)
    room = setup.Room()
    channels = room.channels()
    for number in range(1, 8):
        await channels.add("c", number, line(number))
    assert await texts(channels, "c") == ["line 5", "line 6", "line 7"]
    assert await texts(room.channels(), "c") == ["line 5", "line 6", "line 7"]
    assert room.redis.expiries[history.key("c")] == cache.TTL_S["conv_history"]


async def test_a_channel_that_fell_out_of_memory_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "CHANNELS_MAX", 2)
    channels = setup.Room().channels()
    for number, name in enumerate("abcd", 1):
        await channels.add(name, number, line(number))
    assert len(channels._lines) == 2
    assert await texts(channels, "a") == ["line 1"]


async def test_without_a_cache_history_comes_from_the_record() -> None:
    room = setup.Room()
    room.redis.error = ConnectionError("gone")
    await record(
        room,
        setup.heard(1, "Hi {x}"),
        setup.heard(2, "elsewhere", channel="discord-2"),
        setup.posted("t1", "Beer!"),
    )
    lines = await room.channels().read(setup.CHANNEL)
    assert [(one.text, one.character, one.author.bot) for one in lines] == [
        ("Hi {x}", "", False),
        ("Beer!", "peter", True),
    ]
    assert lines[1].id == "t1-0"
    assert lines[1].author.name == "Peter"


async def test_a_cache_that_lost_everything_is_filled_from_the_record() -> None:
    room = setup.Room()
    await record(room, setup.heard(1, "one"), setup.posted("t1", "two"))
    assert await room.channels().restore() == 2
    assert await room.channels().restore() == 0
    assert await texts(room.channels()) == ["one", "two"]
    room.redis.lose()
    assert await texts(room.channels()) == ["one", "two"]


async def test_a_cache_that_loses_everything_while_it_is_filled_is_filled_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    room = setup.Room()
    await record(room, setup.heard(1, "Hi."))
    write = fake_redis.Pipeline.execute

    async def write_in_vain(pipeline: fake_redis.Pipeline) -> None:
        await write(pipeline)
        room.redis.lose()

    with monkeypatch.context() as patch:
        patch.setattr(fake_redis.Pipeline, "execute", write_in_vain)
        await room.channels().restore()
    assert await texts(room.channels()) == ["Hi."]


async def test_an_edit_is_restored_as_last_written() -> None:
    room = setup.Room()
    await record(room, setup.heard(1, "teh"), setup.heard(2, "other"), setup.heard(1, "the", revision=1))
    assert await texts(room.channels()) == ["other", "the"]


async def test_what_a_cache_missed_while_it_was_away_is_written_later() -> None:
    room = setup.Room()
    shared = room.redis.cache()
    channels = history.Channels(room.bus, shared)
    await channels.add("c", 1, line(1))
    room.redis.error = ConnectionError("gone")
    await channels.add("c", 2, line(2))
    room.redis.error = None
    shared._down_until = 0.0
    await channels.add("c", 3, line(3))
    assert await texts(room.channels(), "c") == ["line 1", "line 2", "line 3"]


@pytest.mark.parametrize("lost", [False, True], ids=["kept", "lost"])
async def test_a_line_the_cache_missed_outlives_the_process_that_knew(lost: bool) -> None:
    room = setup.Room()
    shared = room.redis.cache()
    channels = history.Channels(room.bus, shared)
    heard = [setup.heard(number, f"line {number}") for number in (1, 2)]
    await record(room, *heard)
    assert await channels.restore() == 2
    await record(room, setup.heard(3, "line 3"))
    room.redis.error = ConnectionError("gone")
    stored = await room.bus.last(subjects.event("message", "heard", setup.heard(3, "").message, 0))
    assert stored is not None
    await channels.add(setup.CHANNEL, stored.sequence, history.of_heard(setup.heard(3, "line 3")))
    room.redis.error = None
    if lost:
        room.redis.lose()
    # It died; somebody else, who finds the cache well, writes the channel now.
    after = room.channels()
    assert await texts(after) == ["line 1", "line 2", "line 3"]
    assert await after.restore() == 0


async def test_forgetting_reads_what_others_wrote() -> None:
    room = setup.Room()
    one, two = room.channels(), room.channels()
    await one.add("c", 1, line(1))
    await two.add("c", 2, line(2))
    assert await texts(one, "c") == ["line 1"]
    one.forget("c")
    one.forget("never seen")
    assert await texts(one, "c") == ["line 1", "line 2"]
