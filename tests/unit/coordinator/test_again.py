"""A message that comes twice, late, or again as a retried dead letter changes nothing that was done."""

from __future__ import annotations

import pytest

from svc.bus import api, dead, middleware, subjects
from svc.bus import broker as bus_broker
from svc.coordinator import history
from svc.wire import base, coordinator, message
from tests.unit.coordinator import setup

pytestmark = pytest.mark.anyio


async def texts(channels: history.Channels) -> list[str]:
    return [line.text for line in await channels.read(setup.CHANNEL)]


async def retried(room: setup.Room, subject: str) -> api.Message:
    """The message as it comes again after `quahog dead retry`."""
    stored = await room.bus.last(subject)
    assert stored is not None
    await middleware.bury(room.memory, bus_broker.Delivery(stored, 3, "token"), ValueError("no"))
    (letter,) = [letter async for letter in dead.letters(room.bus)]
    await dead.retry(room.memory, letter.number)
    again = await room.bus.last(subject)
    assert again is not None
    assert again.sequence > stored.sequence
    return again


async def test_a_retried_message_keeps_its_place_in_the_history() -> None:
    room = setup.Room()
    host = room.process()
    first = setup.heard(1, "Peter, one")
    job = await room.hear(host, first)
    await room.hear(host, setup.heard(2, "two"))
    turns, decisions = await room.turns(), await room.decisions()
    again = await retried(room, subjects.event("message", "heard", first.message, 0))
    job.sequence = again.first_sequence
    await host.hear(base.decode(again.data, message.Heard), job)
    assert await room.turns() == turns
    assert await room.decisions() == decisions
    lines = await host.history(coordinator.HistoryRequest(channel=setup.CHANNEL), job)
    assert [line.text for line in lines.utterances] == ["Peter, one", "two"]
    assert await texts(room.channels()) == ["Peter, one", "two"]  # in the cache too
    room.redis.lose()
    assert await texts(room.channels()) == ["Peter, one", "two"]  # and in the record


async def test_words_that_come_after_their_edit_change_nothing() -> None:
    room = setup.Room()
    channels = room.channels()
    old, new = setup.heard(1, "hi"), setup.heard(1, "hello", revision=1)
    await channels.add(setup.CHANNEL, 7, history.of_heard(new))
    await channels.add(setup.CHANNEL, 3, history.of_heard(old))
    assert await texts(channels) == ["hello"]
    assert await texts(room.channels()) == ["hello"]  # as the next process finds them


async def test_what_was_posted_may_come_before_what_was_heard() -> None:
    room = setup.Room()
    host = room.process()
    await room.post(host, setup.posted("t1", "Hey"))
    await room.hear(host, setup.heard(1, "Peter?"))
    assert len(await room.turns()) == 1
    assert await texts(room.channels()) == ["Hey", "Peter?"]
