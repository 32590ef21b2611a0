"""The life of one part: ready, fails, ends, is started again. Its processes are real and trivial."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path

import anyio
import pytest

from svc import errors
from svc.stack import child, guard, part, progress, supervisor

pytestmark = pytest.mark.anyio

READY = (
    "import os, signal; os.write(int(os.environ['QUAHOG_READY_FD']), b'one\\ntwo\\nready\\n'); signal.pause()"
)
FAILS = "raise SystemExit('no such pack')"
BLAMES = "print('the token is wrong', flush=True); raise SystemExit(78)"


class Fake:
    """A part whose successive lives run these scripts (the last one from then on)."""

    name = "fake"
    grace_s = 1.0

    def __init__(self, *scripts: str, essential: bool = False, owner_pause_s: float = 0.0) -> None:
        self.essential = essential
        self.owner_pause_s = owner_pause_s
        self.fresh: list[bool] = []
        self._scripts = list(scripts)
        self._begins = anyio.Event()

    async def began(self, lives: int) -> None:
        """Wait until so many lives have begun."""
        while len(self.fresh) < lives:
            await self._begins.wait()

    def launch(self, fresh: bool) -> part.Launch:
        self.fresh.append(fresh)
        self._begins.set()
        self._begins = anyio.Event()
        script = self._scripts.pop(0) if len(self._scripts) > 1 else self._scripts[0]
        return part.Launch(argv=(sys.executable, "-I", "-S", "-c", script), env={})

    async def ready(self, process: child.Child, doing: Callable[[str], None]) -> bool:
        return await process.told_ready(doing)


class Seen(progress.Progress):
    """Remembers what was shown, and kills the part the first times it is ready."""

    def __init__(self, watch: guard.Guard, kills: int = 0) -> None:
        self.lines: list[str] = []
        self._watch = watch
        self._kills = kills

    def doing(self, part: str, text: str) -> None:
        self.lines.append(text)

    def ready(self, part: str, seconds: float) -> None:
        self.lines.append("ready")
        if self._kills:
            self._kills -= 1
            self._watch.kill_all()

    def failed(self, part: str, why: str) -> None:
        self.lines.append(why)

    def tail(self, part: str, lines: Sequence[str]) -> None:
        self.lines += [f"| {line}" for line in lines]

    def tell(self, line: str) -> None:
        self.lines.append(line)

    @contextlib.asynccontextmanager
    async def starting(self) -> AsyncIterator[None]:
        yield


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "BACKOFF_FIRST_S", 0.01)


@pytest.fixture
def watch() -> Iterator[guard.Guard]:
    descriptor = os.open(os.devnull, os.O_RDONLY)
    with guard.standing(descriptor) as standing:
        yield standing
        assert not standing.groups  # whatever happened, nobody is left
    os.close(descriptor)


async def keep(what: Fake, folder: Path, watch: guard.Guard, lives: int, kills: int = 0) -> list[str]:
    """Supervise until so many lives have begun and settled; what was shown."""
    seen = Seen(watch, kills)
    keeper = supervisor.Supervisor(what, folder, watch, seen)
    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(keeper.run)
            await keeper.settled.wait()
            await what.began(lives)
            tasks.cancel_scope.cancel()
    return seen.lines


async def test_it_tells_what_it_does_until_it_is_ready(tmp_path: Path, watch: guard.Guard) -> None:
    lines = await keep(Fake(READY), tmp_path, watch, 1)
    assert lines == ["starting", "one", "two", "ready"]


async def test_a_service_that_ends_is_started_again_on_the_same_ports(
    tmp_path: Path, watch: guard.Guard
) -> None:
    what = Fake(READY, FAILS, READY)
    lines = await keep(what, tmp_path, watch, 3, kills=1)
    assert "ended unexpectedly: killed by SIGKILL; next start in 0.01 s" in lines
    assert "ended before it was ready: exit status 1; next start in 0.02 s" in lines
    # Only after a life that never got ready may it look for other ports.
    assert what.fresh == [True, False, True]


async def test_nobody_waits_for_one_that_fails_and_its_log_is_shown(
    tmp_path: Path, watch: guard.Guard
) -> None:
    lines = await keep(Fake(FAILS), tmp_path, watch, supervisor.ATTEMPTS + 3)
    assert lines.count("| no such pack") == 1
    told = [line for line in lines if line.startswith("ended before")]
    assert len(told) == supervisor.ATTEMPTS  # then it is quiet about it
    assert str(tmp_path / "fake.log") in told[-1]


async def test_what_only_the_owner_can_mend_is_tried_rarely(tmp_path: Path, watch: guard.Guard) -> None:
    what = Fake(BLAMES, owner_pause_s=60.0)
    lines = await keep(what, tmp_path, watch, 1)
    assert "| the token is wrong" in lines
    assert what.fresh == [True]


async def test_an_essential_part_that_can_not_start_is_an_error(tmp_path: Path, watch: guard.Guard) -> None:
    what = Fake(FAILS, essential=True)
    keeper = supervisor.Supervisor(what, tmp_path, watch, Seen(watch))
    with anyio.fail_after(10), pytest.raises(errors.StackError, match=r"fake can't be started .*fake\.log"):
        await keeper.run()
    assert what.fresh == [True] * supervisor.ATTEMPTS


async def test_an_essential_part_keeps_its_ports_once_it_was_up(tmp_path: Path, watch: guard.Guard) -> None:
    what = Fake(READY, FAILS, FAILS, FAILS, READY, essential=True)
    await keep(what, tmp_path, watch, 5, kills=1)
    assert what.fresh == [True, False, False, False, False]


async def test_a_program_that_is_not_there_is_no_reason_to_fall(tmp_path: Path, watch: guard.Guard) -> None:
    what = Fake(READY)
    what.launch = lambda fresh: part.Launch(argv=("/no/such/program",), env={})  # type: ignore[method-assign]
    lines = await keep(what, tmp_path, watch, 0)
    assert any("/no/such/program can't be started" in line for line in lines)


def test_the_pause_doubles_up_to_half_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    pauses = [supervisor.backoff(failures) for failures in range(1, 10_000)]
    assert pauses[:4] == [0.25, 0.5, 1.0, 2.0]
    assert pauses == sorted(pauses)
    assert pauses[-1] == supervisor.BACKOFF_MAX_S
