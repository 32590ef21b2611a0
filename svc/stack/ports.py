"""The ports of one machine's stack: the documented ones, or free ones where those are taken."""

from __future__ import annotations

import contextlib
import dataclasses
import re
import socket
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from svc import errors, ports

HOST = "127.0.0.1"
"""Everything listens on loopback only."""
BRIDGE, INFRASTRUCTURE = ports.BRIDGE, ports.INFRASTRUCTURE
STANDARD = {**INFRASTRUCTURE, **BRIDGE}
VARIABLE = "QUAHOG_PORTS"
LISTENING = "0A"
SOCKET = re.compile(r"socket:\[(\d+)\]")


@dataclasses.dataclass(frozen=True, slots=True)
class Owner:
    """The process that listens on a port."""

    pid: int
    name: str

    def __str__(self) -> str:
        return f"{self.name}, pid {self.pid}"


class Ports:
    """Name -> port of this stack. A port that is taken is replaced, and the user is told."""

    def __init__(self, wanted: Mapping[str, int], tell: Callable[[str], None]) -> None:
        """`wanted`: name -> port in place of the standard one; 0 = any free one.

        Further names are further ports of the bridge: a fourth character needs one. Raises ConfigError.
        """
        self.numbers = {**STANDARD, **wanted}
        self._tell = tell
        users: dict[int, str] = {}
        for name, port in self.numbers.items():
            if not 0 <= port <= ports.PORT_MAX:
                raise errors.ConfigError(f"port {port} ({name}) is wrong: use 1 to {ports.PORT_MAX}")
            if port and users.setdefault(port, name) != name:
                raise errors.ConfigError(f"{name} and {users[port]} both want port {port}: give one another")

    def bridge(self) -> dict[str, int]:
        """The bridge's part of it."""
        return {name: port for name, port in self.numbers.items() if name not in INFRASTRUCTURE}

    def secure(self, *names: str) -> None:
        """Make sure that each of these ports is free at this moment, moving those that aren't.

        Between this and the bind another process may still be faster: call it again then.
        """
        for name in names:
            port = self.numbers[name]
            if port and is_free(port):
                continue
            self.numbers[name] = unused(set(self.numbers.values()))
            if port:
                taken = f"taken by {found}" if (found := owner(port)) else "taken"
                self._tell(f"port {port} ({name}) is {taken}: using {self.numbers[name]}")


def wanted(environ: Mapping[str, str]) -> dict[str, int]:
    """The ports somebody set in QUAHOG_PORTS (`{"router": 7005}`). Raises ConfigError for nonsense."""
    if not (text := environ.get(VARIABLE, "")):
        return {}
    try:
        return msgspec.json.decode(text, type=dict[str, int])
    except msgspec.MsgspecError as error:
        raise errors.ConfigError(f'{VARIABLE} is wrong, expected {{"name": port}}: {error}') from None


def is_free(port: int) -> bool:
    """Whether a server could listen there now (asked as servers ask, so ports just closed count)."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:  # taken, or below 1024 and not ours to use
            return False
    return True


def unused(avoid: set[int]) -> int:
    """A free port that the kernel picks, none of `avoid`."""
    while True:
        with socket.socket() as probe:
            probe.bind((HOST, 0))
            port: int = probe.getsockname()[1]
        if port not in avoid:
            return port


def owner(port: int) -> Owner | None:
    """Who listens on a TCP port; None when the kernel doesn't tell (another user's process, not Linux)."""
    inodes = set()
    for table in ("tcp", "tcp6"):
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == LISTENING and int(fields[1].rpartition(":")[2], 16) == port:
                    inodes.add(fields[9])
    if not inodes:
        return None
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # gone meanwhile, or somebody else's
            for descriptor in (process / "fd").iterdir():
                found = SOCKET.fullmatch(str(descriptor.readlink()))
                if found and found[1] in inodes:
                    return Owner(int(process.name), (process / "comm").read_text().strip())
    return None
