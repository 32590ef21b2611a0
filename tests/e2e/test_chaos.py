"""`quahog chaos` on real stacks: nothing lost, nothing doubled, nothing left behind."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from svc.bus import streams
from svc.chaos import stage

START_S = 60.0


def start(folder: Path, *words: str) -> subprocess.Popen[str]:
    """`quahog chaos --json`, its data folder and all it writes being in `folder`."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("QUAHOG_", "DISCORD_"))}
    return subprocess.Popen(
        (sys.executable, "-m", "svc", "chaos", "--json", *words),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**inherited, "TMPDIR": str(folder), "DISCORD_TOKEN_NOBODY": "the stack must not see this"},
    )


def ran(folder: Path, *words: str) -> dict[str, Any]:
    """A whole run that is sound."""
    with start(folder, *words) as process:
        out, err = process.communicate()
    assert process.returncode == 0, f"{out}\n{err}"
    assert err == ""
    found: dict[str, Any] = json.loads(out)
    assert found["accepted"] == found["answered"] == found["turns"]
    assert found["lost"] == found["duplicated"] == found["strays"] == found["undecided"] == 0
    assert sum(found["outcomes"].values()) == found["turns"]
    assert found["unsettled"] == {}
    assert found["generations"] >= found["outcomes"]["answered"]
    assert found["generations_per_attempt_max"] >= 1
    assert sum(found["kills_by_part"].values()) == found["kills"]
    assert found["data"] == ""
    assert list(folder.glob("quahog-*")) == []
    assert left(folder) == []
    return found


def left(folder: Path) -> list[int]:
    """Processes that were started with `folder` in their environment: all of a run's are."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if str(folder).encode() in (process / "environ").read_bytes():
                found.append(int(process.name))
    return found


@pytest.mark.timeout(240)
def test_every_part_is_killed_once_and_every_turn_is_answered_once(tmp_path: Path) -> None:
    found = ran(tmp_path, "--turns", "30", "--kills", "12", "--seed", "7")
    assert found["kills_by_part"] == dict.fromkeys(sorted(stage.PARTS), 1)
    assert len(found["broker_back_s"]) == 1


def test_ctrl_c_leaves_nothing_behind(tmp_path: Path) -> None:
    with start(tmp_path, "--turns", "30") as process:
        deadline = time.monotonic() + START_S
        while not list(tmp_path.glob("quahog-*/stack.json")) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert len(left(tmp_path)) > 4
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()
    assert process.returncode == 130, err
    assert (out, err) == ("", "")
    assert list(tmp_path.glob("quahog-*")) == []
    assert left(tmp_path) == []


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", ["1", "2", "3"])
def test_many_kills(seed: str, tmp_path: Path) -> None:
    found = ran(tmp_path, "--turns", "90", "--kills", "24", "--seed", seed)
    assert set(found["kills_by_part"].values()) == {2}


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_parts_that_hang_for_20_seconds(tmp_path: Path) -> None:
    found = ran(tmp_path, "--turns", "45", "--kills", "6", "--hang-s", "20", "--seed", "1")
    assert (found["mode"], found["kills"]) == ("hang", 6)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_power_cut_that_takes_what_was_not_synced(tmp_path: Path) -> None:
    found = ran(tmp_path, "--turns", "60", "--kills", "8", "--cut", "--seed", "2")
    assert (found["mode"], found["kills"]) == ("cut", 8)
    asynchronous = {stream.name for stream in streams.STREAMS if stream.durability == "async"}
    assert "LOG" in found["cut_bytes"]
    assert set(found["cut_bytes"]) <= asynchronous
