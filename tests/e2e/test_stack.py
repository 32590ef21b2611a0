"""The embedded stack with its real servers; our own services are stood in for by trivial processes."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nats
import pytest
import redis

from svc.stack import ports, probe, where

DEADLINE_S = 15.0
STOP_S = 5.0

DRIVER = """
import json, os, sys
from pathlib import Path
from svc import config, errors
from svc.stack import options, ports, up

asked = json.loads(sys.argv[1])
scripts = asked["scripts"]
if asked["conf"]:
    config.shipped = lambda name: Path(asked["conf"])
if asked["lie"]:
    honest, lies = ports.is_free, {asked["lie"]}
    ports.is_free = lambda port: port in lies and not lies.discard(port) or honest(port)
try:
    sys.exit(up.run(options.Options(
        data=Path(asked["data"]),
        only=tuple(asked["only"]),
        ports={name: 0 for name in ports.STANDARD} | asked["ports"],
        environ=dict(os.environ) | asked["environ"],
        service_command=lambda name: (sys.executable, "-I", "-S", "-c", scripts.get(name, sys.argv[2])),
    )))
except errors.QuahogError as error:
    sys.exit(f"error: {error}")
"""
CHILD = """
import os, signal
with os.fdopen(int(os.environ["QUAHOG_READY_FD"]), "w") as pipe:
    pipe.write("loading\\nready\\n")
signal.pause()
"""
STUBBORN = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + CHILD + "\nsignal.pause()"
PARENT = "import os\nif os.fork() == 0:\n    import signal; signal.pause()\n" + CHILD
BROKEN = "raise SystemExit('the pack [bold]peter is unreadable')"
TELLING = "import os\nprint(os.environ['QUAHOG_PORTS'], flush=True)\n" + CHILD


class Up:
    """One `quahog up` in a process of its own."""

    def __init__(
        self, output: Path, data: Path, only: tuple[str, ...] = ("llm", "router"), **asked: Any
    ) -> None:
        self.data = data
        self.output = output
        settings = {
            "data": str(data),
            "only": only,
            "ports": {},
            "environ": {},
            "scripts": {},
            "conf": "",
            "lie": 0,
        }
        environ = {name: value for name, value in os.environ.items() if not name.startswith("QUAHOG_")}
        with self.output.open("wb") as file:
            self.process = subprocess.Popen(
                (sys.executable, "-c", DRIVER, json.dumps({**settings, **asked}), CHILD),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                env=environ,
            )

    def text(self) -> str:
        return self.output.read_text()

    def until(self, text: str) -> Up:
        """Wait until it has said `text`."""
        eventually(lambda: text in self.text() or self.process.poll() is not None)
        assert text in self.text(), self.text()
        return self

    def ended(self) -> int:
        """Wait for its end and give its status."""
        return self.process.wait(DEADLINE_S)

    def running(self) -> where.Running:
        found = where.read(self.data)
        assert found is not None
        return found

    def stop(self, times: int = 1) -> float:
        """Ctrl-C; how long it took, in seconds."""
        began = time.monotonic()
        for time_ in range(times):
            self.process.send_signal(signal.SIGINT)
            if time_ < times - 1:
                self.until("stopping")
        assert self.ended() == 0, self.text()
        return time.monotonic() - began


def eventually(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not holds():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def family(pid: int) -> dict[int, str]:
    """Every living descendant of a process -> its command line."""
    parents: dict[int, int] = {}
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            state, parent = (process / "stat").read_text().rpartition(")")[2].split()[:2]
            if state != "Z":
                parents[int(process.name)] = int(parent)
    found: dict[int, str] = {}
    generation = {pid}
    while generation := {each for each, parent in parents.items() if parent in generation}:
        for each in generation:
            with contextlib.suppress(OSError):
                found[each] = (Path("/proc") / str(each) / "cmdline").read_text()
    return found


def alive(pids: dict[int, str]) -> list[str]:
    """The command lines of those that still run."""
    left = []
    for pid, command in pids.items():
        with contextlib.suppress(OSError):
            if (Path("/proc") / str(pid) / "cmdline").read_text() == command != "":
                left.append(command)
    return left


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Callable[..., Up]]:
    """Starts stacks; none is left after the test."""
    started: list[Up] = []

    def start(data: Path = tmp_path / "da ta {x}", **asked: Any) -> Up:
        started.append(Up(tmp_path / f"{len(started)}.out", data, **asked))
        return started[-1]

    yield start
    for each in started:
        if each.process.poll() is None:
            each.process.kill()
            each.process.wait()


@pytest.mark.anyio
async def test_a_stack_starts_in_seconds_keeps_its_data_and_stops(up: Callable[..., Up]) -> None:
    first = up(only=("llm", "bridge"), scripts={"bridge": TELLING}).until("quahog is up")
    running = first.running()
    assert running.pid == first.process.pid
    assert stat.S_IMODE((first.data / where.FILE).stat().st_mode) == 0o600
    assert running.address == f"http://127.0.0.1:{running.ports['router']}/"
    told = (first.data / "logs" / "bridge.log").read_text().splitlines()[-1]
    assert json.loads(told) == {name: running.ports[name] for name in ports.BRIDGE}

    state = await probe.get(f"http://127.0.0.1:{running.ports['monitor']}/jsz")
    assert state is not None
    assert json.loads(state)["config"]["sync_always"] is True
    assert await probe.get(f"{running.chroma_url}/api/v2/heartbeat") is not None
    cache = redis.Redis.from_url(running.cache_url)
    cache.set("kept", "yes")
    cache.close()
    connection = await nats.connect(running.nats_url)
    await connection.jetstream().add_stream(name="KEPT", subjects=["kept"])
    await connection.jetstream().publish("kept", b"yes")
    await connection.close()
    children = family(first.process.pid)
    assert len(children) == 6  # three servers, two services, the reaper

    assert first.stop() < STOP_S
    assert not alive(children)
    assert where.read(first.data) is None
    assert not (first.data / where.FILE).exists()

    second = up().until("quahog is up")
    cache = redis.Redis.from_url(second.running().cache_url)
    assert cache.get("kept") == b"yes"
    cache.close()
    connection = await nats.connect(second.running().nats_url)
    assert (await connection.jetstream().get_msg("KEPT", 1)).data == b"yes"
    await connection.close()
    assert second.stop() < STOP_S


def test_a_killed_supervisor_leaves_nobody_behind_and_no_lock(up: Callable[..., Up]) -> None:
    first = up(scripts={"router": PARENT}).until("quahog is up")
    children = family(first.process.pid)
    assert len(children) == 7  # the router has a child of its own
    first.process.kill()
    first.process.wait()
    second = up()  # at once: it waits for the last one to be gone
    eventually(lambda: not alive(children))
    assert where.read(first.data) is None or second.text()
    second.until("quahog is up")
    assert second.running().pid == second.process.pid


def test_nobody_is_left_behind_when_the_reaper_is_killed_too(up: Callable[..., Up]) -> None:
    stack = up().until("quahog is up")
    children = family(stack.process.pid)
    (reaper,) = (pid for pid, command in children.items() if "reaper.py" in command)
    os.kill(reaper, signal.SIGKILL)
    stack.process.kill()
    stack.process.wait()
    eventually(lambda: not alive(children))


def test_killed_parts_are_started_again_and_no_other(up: Callable[..., Up]) -> None:
    stack = up().until("quahog is up")
    before, parts = family(stack.process.pid), stack.running().parts
    assert set(parts) == {"nats", "cache", "chroma", "llm", "router"}
    assert set(parts.values()) <= set(before)
    chosen = [parts["cache"], parts["router"]]
    for pid in chosen:
        os.kill(pid, signal.SIGKILL)
    stack.until("cache            ended unexpectedly: killed by SIGKILL; next start in 0.25 s")
    eventually(lambda: stack.text().count("ready in") == 7)
    after = family(stack.process.pid)
    assert len(after) == len(before)
    assert set(before) - set(after) == set(chosen)
    again = stack.running().parts
    assert {name for name in parts if again[name] != parts[name]} == {"cache", "router"}
    assert set(again.values()) <= set(after)
    assert redis.Redis.from_url(stack.running().cache_url).ping()
    stack.process.send_signal(signal.SIGTERM)
    assert stack.ended() == 0


def test_a_taken_port_is_moved_and_told(up: Callable[..., Up]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as ours, socket.create_server(("127.0.0.1", 0)) as other:
        taken, raced = ours.getsockname()[1], other.getsockname()[1]
        # The second looks free when it is chosen: somebody was faster between that and the bind.
        stack = up(ports={"cache": taken, "nats": raced}, lie=raced).until("quahog is up")
        running = stack.running()
        assert f"port {taken} (cache) is taken by" in stack.text()
        assert f"pid {os.getpid()}): using" in stack.text() or f"pid {os.getpid()}: using" in stack.text()
        assert f"port {raced} (nats) is taken by" in stack.text()
        assert running.ports["cache"] not in (0, taken)
        assert running.nats_url.endswith(str(running.ports["nats"]))
        assert running.ports["nats"] != raced


def test_a_second_stack_on_the_same_data_is_refused(up: Callable[..., Up], tmp_path: Path) -> None:
    first = up().until("quahog is up")
    second = up()
    assert second.ended() == 1
    assert f"quahog already runs on {first.data} (pid {first.process.pid})" in second.text()
    assert first.process.poll() is None
    # … but another folder may use the same servers: nothing of its own is started then.
    running = first.running()
    urls = {
        "QUAHOG_NATS_URL": running.nats_url,
        "QUAHOG_CACHE_URL": running.cache_url,
        "QUAHOG_CHROMA_URL": running.chroma_url,
    }
    third = up(tmp_path / "other", environ=urls).until("quahog is up")
    assert third.running().cache_url == running.cache_url
    assert len(family(third.process.pid)) == 3  # two services and the reaper
    assert third.stop() < STOP_S
    assert redis.Redis.from_url(running.cache_url).ping()


@pytest.mark.parametrize("variable", ["QUAHOG_NATS_URL", "QUAHOG_CACHE_URL", "QUAHOG_CHROMA_URL"])
def test_a_named_server_that_is_not_there_is_an_error(up: Callable[..., Up], variable: str) -> None:
    url = f"redis://me:hunter2@127.0.0.1:{ports.unused(set())}"
    stack = up(environ={variable: url})
    assert stack.ended() == 1
    assert f"error: {variable}=redis://…@127.0.0.1:" in stack.text()
    assert "hunter2" not in stack.text()


def test_an_unusable_data_folder_stops_it_before_anything_starts(
    up: Callable[..., Up], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    stack = up(tmp_path / "file" / "data")
    assert stack.ended() == 1
    assert f"the data folder {tmp_path}/file/data can't be used (Not a directory)" in stack.text()
    assert "starting" not in stack.text()


def test_a_stubborn_service_is_killed_in_time(up: Callable[..., Up]) -> None:
    stack = up(scripts={"router": STUBBORN}).until("quahog is up")
    children = family(stack.process.pid)
    assert 2.5 < stack.stop() < STOP_S
    assert "router had to be killed" in stack.text()
    assert not alive(children)


def test_a_second_ctrl_c_stops_at_once(up: Callable[..., Up]) -> None:
    stack = up(scripts={"router": STUBBORN}).until("quahog is up")
    children = family(stack.process.pid)
    assert stack.stop(times=2) < 1.5
    assert not alive(children)


def test_a_broken_service_is_shown_and_the_rest_is_up(up: Callable[..., Up]) -> None:
    stack = up(scripts={"router": BROKEN}).until("quahog is up")
    assert "without router" in stack.text()
    assert "router           | the pack [bold]peter is unreadable" in stack.text()
    assert str(stack.data / "logs" / "router.log") in stack.text()
    assert stack.stop() < STOP_S


def test_a_broker_that_acks_before_it_syncs_is_refused(up: Callable[..., Up], tmp_path: Path) -> None:
    conf = tmp_path / "nats.conf"
    repository = Path(where.__file__).parents[2] / "nats.conf"
    conf.write_text(repository.read_text().replace("sync_interval: always", "sync_interval: 2m"))
    stack = up(conf=str(conf))
    assert stack.ended() == 1
    assert "`sync_interval: always`" in stack.text()
    assert not family(stack.process.pid)


def test_ctrl_c_while_it_starts(up: Callable[..., Up]) -> None:
    stack = up(scripts={"router": "import signal; signal.pause()"}).until("llm              ready")
    children = family(stack.process.pid)
    assert stack.stop() < STOP_S
    assert not alive(children)
