"""The synchronous door: it only says what it heard, and waits for the outcome."""

from __future__ import annotations

import time

import anyio
import anyio.lowlevel
import pytest

from svc.bus import connection, errors, job, memory, subjects
from svc.router import orchestrate
from svc.wire import base, message, quality, router, turn

pytestmark = pytest.mark.anyio

NATIVE = "n1"
TURN = subjects.turn_id("http", NATIVE, "peter")
HEARD = "evt.message.heard.>"
REQUEST = router.OrchestrateRequest(character="peter", text="Beer, {name}?", native=NATIVE)
ENDED = turn.Ended(
    turn=TURN,
    outcome="answered",
    character="peter",
    surface="http",
    channel="c",
    text="Beer!",
    attempts=(turn.Attempt(n=1), turn.Attempt(n=2, accepted=True)),
    verdict=quality.Verdict(accepted=True, score=81.5, threshold=60),
    ms=12.0,
)


class Setup:
    def __init__(self) -> None:
        self.bus = connection.Connection(memory.Memory(), "test")
        self.door = orchestrate.Door(self.bus, frozenset({"peter", "brian"}))
        self.answers: list[router.Orchestrated] = []

    def job(self, left_s: float = 5.0) -> job.Job:
        return job.Job(
            bus=self.bus,
            subject=subjects.parse(subjects.request("router", "orchestrate", TURN)),
            deadline=time.time() + left_s,
            stored_at=time.time(),
            sequence=1,
            deliveries=1,
        )

    async def ask(self, request: router.OrchestrateRequest = REQUEST, left_s: float = 5.0) -> None:
        self.answers.append(await self.door.orchestrate(request, self.job(left_s)))

    async def end(self, ended: turn.Ended = ENDED) -> None:
        await self.bus.publish(subjects.event("turn", "ended", ended.turn), ended)

    async def heard(self) -> list[message.Heard]:
        stored = await self.bus.broker.latest("RECORD", [HEARD])
        return [base.decode(one.data, message.Heard) for one in stored]


async def test_it_hears_waits_and_answers() -> None:
    made = Setup()
    with anyio.fail_after(2):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(made.ask)
            while not await made.heard():
                await anyio.lowlevel.checkpoint()
            await anyio.wait_all_tasks_blocked()
            await made.end()
    (answer,) = made.answers
    assert (answer.turn, answer.text, answer.accepted) == (TURN, "Beer!", True)
    assert (answer.attempts, answer.score, answer.ms, answer.ended) == (2, 81.5, 12.0, ENDED)
    (heard,) = await made.heard()
    assert (heard.text, heard.to, heard.surface, heard.native) == (
        "Beer, {name}?",
        ("peter",),
        "http",
        NATIVE,
    )
    assert heard.channel == f"http-{NATIVE}"
    assert abs(heard.at - time.time()) < 5
    assert subjects.turn_id(heard.surface, heard.native, "peter", heard.revision) == TURN


async def test_it_publishes_no_turn_itself() -> None:
    made = Setup()
    await made.end()
    await made.ask()
    assert await made.bus.broker.latest("TURNS", [">"]) == []


async def test_the_same_message_again_is_the_same_turn() -> None:
    made = Setup()
    await made.end()
    await made.ask()
    await made.ask()
    assert made.answers[0] == made.answers[1]
    assert len(await made.heard()) == 1


async def test_a_missed_notification_is_made_up_for_by_the_record(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orchestrate, "CHECK_S", 0.01)
    made = Setup()
    with anyio.fail_after(2):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(made.ask)
            while not await made.heard():
                await anyio.lowlevel.checkpoint()
            made.bus.broker._subscriptions.clear()  # type: ignore[attr-defined]
            await made.end()
    assert made.answers[0].text == "Beer!"


async def test_a_notice_is_not_accepted() -> None:
    made = Setup()
    await made.end(
        turn.Ended(turn=TURN, outcome="notice", character="peter", surface="http", channel="c", text="Huh.")
    )
    await made.ask()
    (answer,) = made.answers
    assert (answer.accepted, answer.text, answer.score, answer.attempts) == (False, "Huh.", 0.0, 0)


async def test_without_an_outcome_in_time_it_says_where_to_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orchestrate, "CHECK_S", 0.01)
    made = Setup()
    with pytest.raises(errors.Refused, match=f"quahog turn {TURN}") as caught:
        await made.ask(left_s=0.03)
    assert caught.value.code == "no_outcome"


@pytest.mark.parametrize("character", ["", "nobody", "Peter", "peter.x", "*"])
async def test_an_unknown_character_is_refused_with_the_cast(character: str) -> None:
    made = Setup()
    with pytest.raises(errors.Refused, match="choose from brian, peter") as caught:
        await made.ask(router.OrchestrateRequest(character=character, text="Hi"))
    assert caught.value.code == "unknown_character"
    assert await made.heard() == []


@pytest.mark.parametrize("text", [" ", "\n\t", "\u2003"])
async def test_a_message_without_words_is_refused(text: str) -> None:
    made = Setup()
    with pytest.raises(errors.Refused) as caught:
        await made.ask(router.OrchestrateRequest(character="peter", text=text))
    assert caught.value.code == "empty_text"
    assert await made.heard() == []


@pytest.mark.parametrize("channel", ["discord-4711", "console-main"])
async def test_nobody_speaks_into_the_history_of_another_surface(channel: str) -> None:
    """Channels are scoped: two surfaces never share a history."""
    made = Setup()
    await made.end()
    await made.ask(router.OrchestrateRequest(character="peter", text="Hi", native=NATIVE, channel=channel))
    (heard,) = await made.heard()
    assert heard.channel.startswith("http-")
