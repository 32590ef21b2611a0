"""Where the running stack is: `<data>/stack.json`, written by `quahog up`, read by every other command."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import msgspec

from svc.stack import lock

FILE = "stack.json"
BIRTH_FIELD = 22
"""Of /proc/<pid>/stat, counted from 1: when the process started, in ticks after boot."""


class Running(msgspec.Struct, frozen=True, kw_only=True):
    """A stack that is up. URLs may carry passwords: the file is readable by its owner only."""

    pid: int
    birth: str
    """Tells this process from a later one with the same pid; "" where the system doesn't say."""
    started: float
    """Unix seconds."""
    version: str
    address: str
    """Of the chat in the browser; "" when the bridge isn't part of it."""
    nats_url: str
    cache_url: str
    chroma_url: str
    ports: dict[str, int]
    parts: dict[str, int] = {}
    """Name of a part -> its process, as of when one last became ready; one that died since is still in it."""


def read(data: Path) -> Running | None:
    """The stack that runs on this data folder; None when there is none, or none any more."""
    try:
        found = msgspec.json.decode((data / FILE).read_bytes(), type=Running)
    except (OSError, msgspec.MsgspecError):
        return None
    return found if lock.is_alive(str(found.pid)) and birth(found.pid) == found.birth else None


def write(data: Path, running: Running) -> None:
    """Replace the file: a reader sees the old or the new one, never a half."""
    target, draft = data / FILE, data / f"{FILE}.new"
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(running)) + b"\n")
    draft.replace(target)


def remove(data: Path) -> None:
    (data / FILE).unlink(missing_ok=True)


def birth(pid: int) -> str:
    """When the process was started, as the kernel counts it; "" when it can't be told."""
    with contextlib.suppress(OSError):
        # The second field is the name in brackets and may hold anything.
        rest = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return f"{_boot()}:{rest[BIRTH_FIELD - 3]}"
    return ""


def _boot() -> str:
    with contextlib.suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return ""
