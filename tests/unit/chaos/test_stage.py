"""The stack of a run: nothing of the user's gets in, nothing of somebody else's is struck."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from svc import errors
from svc.chaos import stage, trial
from svc.stack import options, ports, where


def test_nothing_by_which_the_user_set_up_quahog_is_inherited() -> None:
    given = {
        "PATH": "/bin",
        "HOME": "/home/ann",
        "CHARACTER": "peter",
        "DISCORD_TOKEN_PETER": "secret",
        "DISCORD_GUILD": "1",
        "QUAHOG_NATS_URL": "nats://production",
        "QUAHOG_ENGINE": "ollama",
        "QUAHOG_PORTS": '{"router": 7005}',
    }
    found = stage.environment(given, {"ENGINE": "instant"})
    free = found.pop(ports.VARIABLE)
    assert found == {"PATH": "/bin", "HOME": "/home/ann", "QUAHOG_ENGINE": "instant"}
    assert json.loads(free) == dict.fromkeys(ports.STANDARD, 0)


def test_every_part_of_the_stack_may_be_struck() -> None:
    assert {"nats", "cache", "chroma", *options.SERVICES} == stage.PARTS


def note(data: Path, parts: dict[str, int]) -> None:
    """A stack that runs: this process."""
    running = where.Running(
        pid=os.getpid(),
        birth=where.birth(os.getpid()),
        started=1.0,
        version="0",
        address="http://127.0.0.1:1/",
        nats_url="nats://127.0.0.1:1",
        cache_url="",
        chroma_url="",
        ports={"nats": 1},
        parts=parts,
    )
    where.write(data, running)


def test_only_a_living_child_of_the_stack_is_a_part(tmp_path: Path) -> None:
    sleep = (sys.executable, "-I", "-S", "-c", "import time; time.sleep(60)")
    with subprocess.Popen(sleep) as child, subprocess.Popen(sleep) as dead:
        target = stage.Stage(tmp_path, child)
        note(tmp_path, {"llm": child.pid, "cache": dead.pid, "nats": os.getppid()})
        assert target.pid("llm") == child.pid
        assert target.pid("cache") == dead.pid
        assert target.pid("nats") == 0  # that number was given to somebody else
        assert target.pid("router") == 0  # it is not ready yet
        dead.kill()
        while Path(f"/proc/{dead.pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
            pass
        assert target.pid("cache") == 0
        child.kill()
    assert target.pid("llm") == 0


def test_a_stack_that_is_gone_is_an_error(tmp_path: Path) -> None:
    with subprocess.Popen((sys.executable, "-I", "-S", "-c", "")) as process:
        target = stage.Stage(tmp_path, process)
    with pytest.raises(errors.StackError, match="ended by itself"):
        target.address()


def test_a_folder_of_our_own_is_put_away_only_when_interrupted() -> None:
    with trial.folder(None) as ours:
        assert ours.is_dir()
    ours.rmdir()
    with pytest.raises(errors.StackError), trial.folder(None) as ours:
        raise errors.StackError("it doesn't come up")
    ours.rmdir()
    with pytest.raises(KeyboardInterrupt), trial.folder(None) as ours:
        (ours / "logs").mkdir()
        raise KeyboardInterrupt
    assert not ours.exists()


def test_a_folder_of_the_user_s_is_never_put_away(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), trial.folder(tmp_path / "new") as data:
        data.mkdir()
        raise KeyboardInterrupt
    assert data == tmp_path / "new"
    assert data.is_dir()


def test_a_folder_in_use_is_refused(tmp_path: Path) -> None:
    note(tmp_path, {})
    with pytest.raises(errors.ConfigError, match=f"pid {os.getpid()}"), trial.folder(tmp_path):
        pytest.fail("it is in use")
    where.remove(tmp_path)
    (tmp_path / "diary").touch()
    with pytest.raises(errors.ConfigError, match="not an empty folder"), trial.folder(tmp_path):
        pytest.fail("it is not empty")
    with pytest.raises(errors.ConfigError, match="not an empty folder"), trial.folder(tmp_path / "diary"):
        pytest.fail("it is no folder")
