"""Poison that kills or hangs real processes, beside innocent messages, over a real broker."""

from __future__ import annotations

import collections
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from svc.bus import connection, jetstream, limits, subjects
from svc.wire import base, envelope
from tests import servers
from tests.contract import test_bus

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

INNOCENT = [f"slow{number}" for number in range(4)]


class Victims:
    """One process at a time, started again whenever it ended (or was killed because it hung)."""

    def __init__(self, url: str, folder: Path, how: str) -> None:
        self.log = folder / "begun.log"
        self.log.touch()
        self.started = 0
        self._argv = [sys.executable, "-m", "tests.contract.victim", url, str(self.log), how]
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        self.started += 1
        self._processes.append(subprocess.Popen(self._argv))

    def ended(self) -> bool:
        return self._processes[-1].poll() is not None

    def hangs(self) -> bool:
        """The last it noted is that it began the poison."""
        lines = self.lines()
        return bool(lines) and lines[-1].startswith("poison")

    def lines(self) -> list[str]:
        return self.log.read_text().split("\n")[:-1]

    def stop(self) -> None:
        for process in self._processes:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
                process.wait()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[servers.NatsServer]:
    with servers.nats_server(tmp_path) as started:
        yield started


@pytest.mark.parametrize("how", ["die", "hang"])
async def test_poison_is_buried_after_some_deaths_and_the_innocent_live(
    server: servers.NatsServer, tmp_path: Path, how: str
) -> None:
    jet = await jetstream.connect(server.url, "test")
    await jet.ensure()
    bus = connection.Connection(jet, "test")
    for turn_id in ("poison", *INNOCENT):
        await bus.publish(subjects.event("turn", "ended", turn_id), test_bus.ended(turn_id, "answered"))
    victims = Victims(server.url, tmp_path, how)
    try:
        victims.start()
        with anyio.fail_after(100):
            while "words poison" not in victims.lines() or not innocent(victims):
                if victims.ended() or (how == "hang" and victims.hangs()):
                    # A process that hangs stays as it is: its message goes to the next one.
                    victims.start()
                    lines = len(victims.lines())
                    while len(victims.lines()) == lines and not victims.ended():
                        await anyio.sleep(0.05)
                await anyio.sleep(0.05)
        begun = collections.Counter(victims.lines())
        assert begun["poison"] == limits.TRUSTED_DELIVERIES + limits.DELIVERIES_MAX
        letters = await jet.latest("DEAD", ["dead.>"])
        assert [base.decode(letter.data, envelope.Dead).subject for letter in letters] == [
            "evt.turn.ended.poison.0"
        ]
        with anyio.fail_after(5):
            while await jet.latest("KV_SUSPECT", [">"]):
                await anyio.sleep(0.05)
    finally:
        victims.stop()
        await jet.close()


def innocent(victims: Victims) -> bool:
    return all(f"done {turn_id}" in victims.lines() for turn_id in INNOCENT)
