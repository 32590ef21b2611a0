"""One stack per data folder, held by a lock that the kernel lets go when its last holder is dead."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

from svc import errors

FOLDERS = ("logs", "nats", "cache", "chroma")
LEFTOVERS_S = 3.0
"""How long the reaper of a stack that was just killed may hold the lock after it."""
POLL_S = 0.05


@contextlib.contextmanager
def hold(data: Path) -> Iterator[int]:
    """Create the data folder, hold it, and yield the descriptor of the lock.

    Raises StackError when the folder can't be written or another stack runs on it.
    """
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name in FOLDERS:
            (data / name).mkdir(mode=0o700, exist_ok=True)
            if not os.access(data / name, os.W_OK | os.X_OK):
                raise PermissionError(0, f"no permission to write in {name}")
        descriptor = os.open(data / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise _unwritable(data, error) from None
    try:
        _take(descriptor, data)
        yield descriptor
    finally:
        os.close(descriptor)


def _take(descriptor: int, data: Path) -> None:
    deadline = time.monotonic() + LEFTOVERS_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
            if is_alive(pid) or time.monotonic() > deadline:
                raise errors.StackError(
                    f"quahog already runs on {data} (pid {pid or '?'}): "
                    "use that one, stop it first, or choose another data folder"
                ) from None
            time.sleep(POLL_S)
            continue
        except OSError as error:
            raise _unwritable(data, error) from None
        break
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    except OSError as error:
        raise _unwritable(data, error) from None


def is_alive(pid: str) -> bool:
    """Whether a process of that number exists."""
    if not pid.isdecimal():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _unwritable(data: Path, error: OSError) -> errors.StackError:
    return errors.StackError(
        f"the data folder {data} can't be used ({error.strerror}): choose another one with QUAHOG_DATA"
    )
