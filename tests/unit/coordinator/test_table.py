"""The table: every message heard once, the right turns published once, whoever dies in between."""

from __future__ import annotations

import time
from typing import Any, cast

import msgspec
import pytest

from svc.bus import errors, job, limits, state, subjects
from svc.coordinator import history, table
from svc.wire import base, coordinator, message, turn
from tests.unit.coordinator import setup

pytestmark = pytest.mark.anyio

NO_JOB = cast(job.Job, None)


async def read(host: table.Table, channel: str = setup.CHANNEL, limit: int = 50) -> list[str]:
    found = await host.history(coordinator.HistoryRequest(channel=channel, limit=limit), NO_JOB)
    assert found.channel == channel
    return [line.text for line in found.utterances]


async def test_a_message_to_somebody_becomes_a_turn() -> None:
    room = setup.Room()
    heard = setup.heard(1, "Peter, {beer}?")
    circumstances = await room.hear(room.process(), heard)
    (turn,) = await room.turns()
    assert turn.id == subjects.turn_id("discord", heard.native, "peter")
    assert (turn.origin, turn.character, turn.text) == ("user", "peter", "Peter, {beer}?")
    assert (turn.surface, turn.channel, turn.guild) == ("discord", setup.CHANNEL, "g1")
    assert (turn.message, turn.native, turn.author) == (heard.message, heard.native, heard.author)
    assert (turn.history, turn.heard) == ((), 0)
    assert turn.expires_at == circumstances.stored_at + limits.TURN_AGE_S
    assert abs(turn.at - time.time()) < 5


async def test_a_decision_says_who_speaks_and_why_the_others_do_not() -> None:
    room = setup.Room()
    host = room.process()
    heard = setup.heard(1, "Peter?")
    await room.hear(host, heard)
    await room.hear(host, setup.heard(2, "Nice weather."))
    first, second = await room.decisions()
    assert (first.message, first.channel, first.speakers) == (heard.message, setup.CHANNEL, ("peter",))
    assert first.turns == tuple(turn.id for turn in await room.turns())
    assert first.reasons == {"peter": "called by name", "brian": "not addressed"}
    assert (second.speakers, second.turns) == ((), ())
    assert set(second.reasons) == {"peter", "brian"}
    assert host.decisions == {"spoke": 1, "silent": 1}


async def test_everybody_gets_a_turn_of_their_own() -> None:
    room = setup.Room()
    await room.hear(room.process(), setup.heard(1, "Hello everyone"))
    assert [turn.character for turn in await room.turns()] == ["peter", "brian"]
    assert len({turn.id for turn in await room.turns()}) == 2


async def test_a_redelivery_changes_nothing() -> None:
    room = setup.Room()
    host = room.process()
    heard = setup.heard(1, "Peter?")
    await room.hear(host, heard)
    before = await room.turns()
    await room.hear(host, setup.heard(2, "And?"))
    await room.hear(host, heard, deliveries=2)
    assert await room.turns() == before
    assert len(await room.decisions()) == 2
    assert await read(host) == ["Peter?", "And?"]


async def test_a_redelivered_message_is_counted_once() -> None:
    room = setup.Room()
    host = room.process()
    for deliveries in (1, 2):
        await room.hear(host, setup.heard(1, "Peter?"), deliveries=deliveries)
    assert host.decisions == {"spoke": 1}


async def test_an_edit_is_another_turn_and_the_old_words_are_gone() -> None:
    room = setup.Room()
    host = room.process()
    await room.hear(host, setup.heard(1, "Peter, bear?"))
    await room.hear(host, setup.heard(1, "Peter, beer?", revision=1))
    turns = await room.turns()
    assert [turn.text for turn in turns] == ["Peter, bear?", "Peter, beer?"]
    assert len({turn.id for turn in turns}) == 2
    assert turns[1].history == ()
    assert await read(host) == ["Peter, beer?"]
    assert len(await room.decisions()) == 2


async def test_a_turn_carries_what_was_said_before_oldest_first() -> None:
    room = setup.Room()
    host = room.process()
    await room.hear(host, setup.heard(1, "Hi."))
    await room.post(host, setup.posted("t0", "Hey."))
    await room.post(host, setup.posted("t0", "Hehehe.", piece=1))
    await room.hear(host, setup.heard(2, "elsewhere", channel="discord-2"))
    await room.hear(host, setup.heard(3, "Peter?"))
    (turn,) = await room.turns()
    assert [line.text for line in turn.history] == ["Hi.", "Hey.", "Hehehe."]
    assert [line.character for line in turn.history] == ["", "peter", "peter"]
    assert turn.heard == 3


async def test_a_turn_carries_no_more_lines_than_it_may_but_counts_them_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(table, "HISTORY_LINES", 3)
    room = setup.Room()
    host = room.process()
    for number in range(6):
        await room.hear(host, setup.heard(number, f"line {number}"))
    await room.hear(host, setup.heard(9, "Peter?"))
    (turn,) = await room.turns()
    assert [line.text for line in turn.history] == ["line 3", "line 4", "line 5"]
    assert turn.heard == 6


async def test_history_is_answered_newest_last_within_its_limit() -> None:
    room = setup.Room()
    host = room.process()
    for number in range(5):
        await room.hear(host, setup.heard(number, f"line {number}"))
    assert await read(host, limit=2) == ["line 3", "line 4"]
    assert await read(host, "discord-none") == []


async def test_a_posted_piece_delivered_twice_is_one_line() -> None:
    room = setup.Room()
    host = room.process()
    for deliveries in (1, 2):
        await room.post(host, setup.posted("t1", "Beer!"), deliveries=deliveries)
    assert await read(host) == ["Beer!"]


async def test_a_dry_run_decides_the_same_and_publishes_nothing() -> None:
    room = setup.Room()
    host = room.process()
    heard = setup.heard(1, "Brian?")
    dry = await host.decide(coordinator.DecideRequest(heard=heard), NO_JOB)
    assert await room.turns() == []
    assert await room.decisions() == []
    await room.hear(host, heard)
    assert await room.decisions() == [dry]


async def test_one_process_writes_a_channel_and_the_other_asks_again() -> None:
    room = setup.Room()
    one, two = room.process(), room.process()
    await room.hear(one, setup.heard(1, "Peter?"))
    with pytest.raises(errors.Retry) as caught:
        await room.hear(two, setup.heard(2, "Peter!"))
    assert caught.value.after_s == table.ELSEWHERE_S
    with pytest.raises(errors.Retry):
        await room.post(two, setup.posted("t1", "Beer!"))
    assert len(await room.turns()) == 1
    await room.hear(two, setup.heard(3, "Peter?", channel="discord-2"))
    assert len(await room.turns()) == 2


async def test_who_takes_a_channel_over_knows_its_history() -> None:
    room = setup.Room()
    one, two = room.process(), room.process()
    await room.hear(one, setup.heard(1, "Hi."))
    (lease,) = one._leases._held
    await room.bus.state.put(lease, state.Lease("one", time.time() - 1))
    await room.hear(two, setup.heard(2, "Peter?"))
    (turn,) = await room.turns()
    assert [line.text for line in turn.history] == ["Hi."]


async def test_any_process_answers_history_as_it_is_now() -> None:
    """The one that is asked need not be the one that writes the channel."""
    room = setup.Room()
    writer, other = room.process(), room.process()
    await room.hear(writer, setup.heard(1, "Hi."))
    assert await read(other) == ["Hi."]
    await room.hear(writer, setup.heard(2, "Still there?"))
    assert await read(other) == ["Hi.", "Still there?"]


async def test_without_a_cache_the_table_goes_on() -> None:
    room = setup.Room()
    room.redis.error = ConnectionError("gone")
    host = room.process()
    await room.hear(host, setup.heard(1, "Hi."))
    await room.hear(host, setup.heard(2, "Peter?"))
    (turn,) = await room.turns()
    assert [line.text for line in turn.history] == ["Hi."]


async def test_quiet_channels_cost_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "CHANNELS_MAX", 2)
    room = setup.Room()
    host = room.process()
    for number in range(6):
        await room.hear(host, setup.heard(number, "Hi.", channel=f"discord-{number}"))
    assert len(host._locks) <= 2


async def floor(host: table.Table, channel: str = setup.CHANNEL) -> int:
    return (await host.floor(coordinator.FloorRequest(channel=channel), NO_JOB)).since


async def test_the_floor_belongs_to_the_person_who_spoke_last() -> None:
    room = setup.Room()
    host, other = room.process(), room.process()
    assert await floor(host) == 0
    first = await room.hear(host, setup.heard(1, "Peter?"))
    await room.post(host, setup.posted("t1", "Beer!"))
    assert [await floor(host), await floor(other)] == [first.sequence, first.sequence]
    second = await room.hear(host, setup.heard(2, "Nice weather."))
    assert [await floor(host), await floor(other)] == [second.sequence, second.sequence]
    assert await floor(host, "discord-2") == 0


def a_cue(character: str = "peter", **given: Any) -> coordinator.CueRequest:
    asked = coordinator.CueRequest(
        character=character,
        surface="discord",
        channel=setup.CHANNEL,
        text="I love beer!",
        author=message.Author(id="brian", name="Brian", bot=True),
    )
    return msgspec.structs.replace(asked, **given)


async def a_cue_job(room: setup.Room, cue: coordinator.CueRequest, cue_id: str = "c1") -> job.Job:
    subject = subjects.request("coordinator", "cue", cue_id)
    await room.bus.publish(subject, cue)
    return await room.job(subject)


async def test_a_cue_is_a_turn_planned_once_behind_the_last_person() -> None:
    room = setup.Room()
    host = room.process()
    heard = await room.hear(host, setup.heard(1, "Nice weather."))
    cue = a_cue(in_s=6.0)
    circumstances = await a_cue_job(room, cue)
    cued = await host.cue(cue, circumstances)
    again = await room.process().cue(cue, circumstances)
    assert cued == again
    assert (cued.since, cued.at) == (heard.sequence, circumstances.stored_at + 6.0)
    (planned,) = await room.memory.latest("PLANS", ["later.>"])
    assert planned.subject == subjects.later("organic", "peter", cued.turn)
    taken = base.decode(planned.data, turn.Turn)
    assert (taken.id, taken.since, taken.text) == (cued.turn, heard.sequence, "I love beer!")
    assert [line.text for line in taken.history] == ["Nice weather."]
    assert taken.expires_at == cued.at + limits.ORGANIC_S
    assert await room.turns() == []


async def test_nobody_is_cued_who_is_not_there() -> None:
    room = setup.Room()
    cue = a_cue("quagmire")
    with pytest.raises(errors.Refused, match="choose from brian, peter"):
        await room.process().cue(cue, await a_cue_job(room, cue))
