"""No child outlives the supervisor, not even after `kill -9`.

Two layers: every child asks the kernel to be killed with its parent (Linux), and a small process of its own
(`reaper.py`) kills the process groups that are left, grandchildren too, when the supervisor's pipe closes.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator

from svc import errors
from svc.stack import reaper

PR_SET_PDEATHSIG = 1
REAPER_ENDS_S = 1.0

_prctl = ctypes.CDLL(None, use_errno=True).prctl if sys.platform == "linux" else None
"""Looked up before any fork: between fork and exec nothing may be imported."""


class Guard:
    """Knows every living process group of this stack."""

    def __init__(self, lock: int) -> None:
        """`lock`: the descriptor that holds the data folder; the reaper keeps it until all are dead."""
        self.groups: set[int] = set()
        self._reaper = subprocess.Popen(
            (sys.executable, "-I", "-S", reaper.__file__),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            pass_fds=(lock,),
            start_new_session=True,
        )

    def watch(self, group: int) -> None:
        self.groups.add(group)
        self._say(f"+{group}\n")

    def forget(self, group: int) -> None:
        self.groups.discard(group)
        self._say(f"-{group}\n")

    def kill_all(self) -> None:
        """End everything at once: somebody asked to stop for the second time."""
        for group in self.groups:
            kill(group)

    def close(self) -> None:
        assert self._reaper.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._reaper.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._reaper.wait(REAPER_ENDS_S)

    def _say(self, line: str) -> None:
        assert self._reaper.stdin is not None
        # A killed reaper is no reason to stop: the kernel's own layer is still there.
        with contextlib.suppress(BrokenPipeError):
            self._reaper.stdin.write(line.encode())
            self._reaper.stdin.flush()


@contextlib.contextmanager
def standing(lock: int) -> Iterator[Guard]:
    """A guard that is dismissed at the end. Raises StackError when it can't be started."""
    try:
        guard = Guard(lock)
    except OSError as error:
        raise errors.StackError(f"no process can be started: {error.strerror or error}") from None
    try:
        yield guard
    finally:
        guard.close()


def kill(group: int) -> None:
    """SIGKILL everything in a process group, if anything is left of it."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def die_with_parent() -> Callable[[], None]:
    """What a child runs between fork and exec. Call this in the parent, from the main thread.

    The kernel ties the wish to the *thread* that forked, so a child started elsewhere would die with it.
    """
    assert threading.current_thread() is threading.main_thread(), "children are started by the main thread"
    parent = os.getpid()

    def ask() -> None:
        if _prctl is not None:
            _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before we asked
            os._exit(1)

    return ask
