"""What is kept in the data folder: the note of where the stack is, the lock, the logs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from svc import errors
from svc.stack import lock, logs, where


def note(pid: int, birth: str) -> where.Running:
    return where.Running(
        pid=pid,
        birth=birth,
        started=1.0,
        version="0",
        address="",
        nats_url="nats://h",
        cache_url="redis://h",
        chroma_url="http://h",
        ports={"nats": 1},
    )


def test_a_running_stack_is_found(tmp_path: Path) -> None:
    running = note(os.getpid(), where.birth(os.getpid()))
    where.write(tmp_path, running)
    where.write(tmp_path, running)
    assert where.read(tmp_path) == running
    assert (tmp_path / where.FILE).stat().st_mode & 0o777 == 0o600
    where.remove(tmp_path)
    where.remove(tmp_path)
    assert where.read(tmp_path) is None


def test_a_note_of_one_that_is_gone_is_ignored(tmp_path: Path) -> None:
    with subprocess.Popen((sys.executable, "-I", "-S", "-c", "")) as gone:
        gone.wait()
    where.write(tmp_path, note(gone.pid, ""))
    assert where.read(tmp_path) is None
    where.write(tmp_path, note(os.getpid(), "another boot:1"))  # somebody else has that pid now
    assert where.read(tmp_path) is None


@pytest.mark.parametrize("content", [b"", b"{", b'{"pid": "x"}', b"\xff"])
def test_a_damaged_note_is_no_stack(tmp_path: Path, content: bytes) -> None:
    (tmp_path / where.FILE).write_bytes(content)
    assert where.read(tmp_path) is None


def test_a_note_of_a_later_version_is_understood(tmp_path: Path) -> None:
    running = note(os.getpid(), where.birth(os.getpid()))
    later = {**msgspec.structs.asdict(running), "moon": "full"}
    (tmp_path / where.FILE).write_bytes(msgspec.json.encode(later))
    assert where.read(tmp_path) == running


def test_a_folder_is_held_once_and_let_go(tmp_path: Path) -> None:
    data = tmp_path / "deep" / "data"
    with lock.hold(data):
        with pytest.raises(errors.StackError, match=rf"already runs on .*pid {os.getpid()}"), lock.hold(data):
            pass
        assert {folder.name for folder in data.iterdir()} == {*lock.FOLDERS, "lock"}
    with lock.hold(data):
        pass


def test_a_lock_of_a_dead_process_is_no_lock(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text(f"{os.getpid()}\n")  # written, but held by nobody
    with lock.hold(tmp_path):
        assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"


def test_a_folder_that_can_not_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("a file where a folder should be")
    with (
        pytest.raises(errors.StackError, match=r"data folder .* can't be used .*QUAHOG_DATA"),
        lock.hold(tmp_path),
    ):
        pass


def test_a_log_is_appended_to_and_put_aside_when_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "BYTES_MAX", 100)
    log = logs.Log(tmp_path, "router")
    with log.open() as file:
        file.write(b"first life\n" + b"x" * 100 + b"\n")
    with log.open() as file:
        file.write("second {life} é\n\n".encode() + b"\xff\n")
    assert (tmp_path / "router.log.1").read_bytes().splitlines()[1] == b"first life"
    assert log.tail() == ["second {life} é", "\ufffd"]
    with log.open():
        assert log.tail() == []  # of this life only
    assert b"second" in log.path.read_bytes()


def test_the_end_of_a_log_is_short(tmp_path: Path) -> None:
    log = logs.Log(tmp_path, "router")
    assert log.tail() == ()
    with log.open() as file:
        for number in range(10_000):
            file.write(f"line {number}\n".encode())
    assert log.tail() == [f"line {number}" for number in range(10_000 - logs.TAIL_LINES, 10_000)]
