"""What must survive: the broker restarted under load, a service killed, the whole stack killed or stopped."""

from __future__ import annotations

import os
import secrets
import signal
import time
from collections import Counter
from pathlib import Path

import anyio
import pytest

from svc.bus import connection, jetstream, subjects
from svc.wire import base, coordinator, message, turn
from tests import stacks

pytestmark = pytest.mark.anyio

CAST = ("peter", "brian", "stewie")
OUTCOME_S = 90.0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data"


async def say(bus: connection.Connection, number: int) -> str:
    """Somebody says something to one of the cast; the turn that must come of it."""
    native, character = secrets.token_hex(8), CAST[number % len(CAST)]
    heard = message.Heard(
        message=subjects.message_id("console", native),
        native=native,
        surface="console",
        channel=f"console-load-{number}",
        author=message.Author(id="load", name="Load"),
        text=f"Tell me something about beer number {number}.",
        to=(character,),
        at=time.time(),
    )
    await bus.publish(subjects.event("message", "heard", heard.message), heard)
    return subjects.turn_id("console", native, character)


async def posted(bus: connection.Connection) -> Counter[str]:
    """Receipts per turn."""
    receipts: Counter[str] = Counter()
    async for stored in bus.scan("RECORD", ("evt.message.posted.>",)):
        receipts[base.decode(stored.data, message.Posted).turn] += 1
    return receipts


async def outcomes(bus: connection.Connection) -> dict[str, str]:
    found: dict[str, str] = {}
    async for stored in bus.scan("RECORD", ("evt.turn.ended.>",)):
        ended = base.decode(stored.data, turn.Ended)
        assert ended.turn not in found
        found[ended.turn] = ended.outcome
    return found


async def test_broker_restarted_under_load_loses_no_turn(folder: Path, tmp_path: Path) -> None:
    log = tmp_path / "generations.jsonl"
    with stacks.running(folder, engine="instant", instant_log=str(log), instant_delay_ms="30") as stack:
        bus = connection.Connection(await jetstream.connect(stack.running.nats_url, "load"), "load")
        turns: list[str] = []
        for number in range(60):
            turns.append(await say(bus, number))
            if number in (15, 35):
                os.kill(stack.pid("nats-server"), signal.SIGKILL)
        with anyio.fail_after(OUTCOME_S):
            while len(await posted(bus)) < len(turns):
                await anyio.sleep(0.2)
        assert await posted(bus) == Counter(dict.fromkeys(turns, 1))
        assert set(await outcomes(bus)) == set(turns)
        await bus.close()


@pytest.mark.slow
async def test_a_service_killed_mid_turn_does_not_cost_the_answer(folder: Path) -> None:
    with stacks.running(folder, engine="instant", instant_delay_ms="1500") as stack:
        bus = connection.Connection(await jetstream.connect(stack.running.nats_url, "load"), "load")
        for part in ("llm", "quality", "router", "coordinator", "bridge"):
            turn_id = await say(bus, 0)
            await anyio.sleep(0.5)
            os.kill(stack.pid(f"svc run {part}"), signal.SIGKILL)
            with anyio.fail_after(OUTCOME_S):
                while (await posted(bus))[turn_id] == 0:
                    await anyio.sleep(0.1)
            assert (await outcomes(bus))[turn_id] == "answered", part
        assert set((await posted(bus)).values()) == {1}
        await bus.close()


async def test_stop_is_quick_and_the_next_start_remembers(folder: Path) -> None:
    with stacks.running(folder, engine="instant") as stack:
        stack.ask("peter", "My cat is called Waffles.", "--channel", "cats")
        before = stack.children()
        assert stack.stop() < 5
        assert [line for pid, line in before.items() if stacks.command(pid) == line] == []
        stack.start()
        again = stack.ask("peter", "What is my cat called?", "--channel", "cats")
        steps = stack.turn(again["turn"])["steps"]
        prompt = next(step["reply"]["prompt"] for step in steps if step["method"] == "generate")
        assert any("Waffles" in line["content"] for line in prompt)


async def test_nothing_is_left_after_kill_9(folder: Path) -> None:
    with stacks.running(folder, engine="instant") as stack:
        before = stack.children()
        assert len(before) >= 12, before
        stack.stop(signal.SIGKILL)
        with anyio.fail_after(10):
            while [pid for pid, line in before.items() if stacks.command(pid) == line]:
                await anyio.sleep(0.05)


async def cue(bus: connection.Connection, channel: str, in_s: float) -> coordinator.Cued:
    request = coordinator.CueRequest(
        character="brian",
        surface="console",
        channel=channel,
        text="Holy crap! I love beer!",
        author=message.Author(id="peter", name="Peter", bot=True),
        in_s=in_s,
    )
    return await bus.call(
        "coordinator", "cue", request, coordinator.Cued, turn=secrets.token_hex(8), within_s=30
    )


@pytest.mark.slow
async def test_planned_turns_survive_a_restart_of_everything_and_give_way_to_people(folder: Path) -> None:
    with stacks.running(folder, engine="instant") as stack:
        bus = connection.Connection(await jetstream.connect(stack.running.nats_url, "load"), "load")
        wanted, unwanted = await cue(bus, "console-quiet", 12.0), await cue(bus, "console-load-0", 12.0)
        await bus.close()
        stack.stop(signal.SIGKILL)
        stack.start()
        bus = connection.Connection(await jetstream.connect(stack.running.nats_url, "load"), "load")
        user = await say(bus, 0)  # in console-load-0, before its plan fires
        with anyio.fail_after(OUTCOME_S):
            while not {wanted.turn, unwanted.turn, user} <= set(await outcomes(bus)):
                await anyio.sleep(0.1)
            while not {wanted.turn, user} <= set(await posted(bus)):
                await anyio.sleep(0.1)
        ended = await outcomes(bus)
        assert (ended[wanted.turn], ended[unwanted.turn]) == ("answered", "superseded")
        assert await posted(bus) == Counter([wanted.turn, user])
        await bus.close()
