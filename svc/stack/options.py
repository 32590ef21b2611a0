"""What `quahog up` was asked for, and the services it starts in their order."""

from __future__ import annotations

import dataclasses
import os
import re
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

from svc import config, errors

SERVICES = (
    "llm",
    "characters",
    "quality",
    "coordinator",
    "tuning",
    "router",
    "retriever",
    "crawler",
    "bridge",
)
"""Every service of one machine, the ones others wait for first. `discord` follows where there are tokens."""
DISCORD = "discord"
TOKEN = "DISCORD_TOKEN"
"""`DISCORD_TOKEN_PETER=…` gives the character `peter` its identity."""


def service_command(name: str) -> Sequence[str]:
    """How a service is run as a process of its own."""
    return (sys.executable, "-m", "svc", "run", name)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """One start of the stack."""

    data: Path
    """Folder of everything that is kept; created when missing."""
    only: tuple[str, ...] = ()
    """Names out of SERVICES (and `discord`); empty = all of them."""
    console: bool = True
    """Hand over to `prompt` once everything is up, if this is a terminal."""
    prompt: Callable[[str], Awaitable[None]] | None = None
    """The terminal chat. It gets the chat address; the stack stops when it returns."""
    ports: Mapping[str, int] = dataclasses.field(default_factory=dict[str, int])
    """Name in `ports.STANDARD` -> the port wanted instead; 0 = any free one."""
    environ: Mapping[str, str] = dataclasses.field(default_factory=lambda: dict(os.environ))
    """What the children inherit: settings, tokens and explicit URLs."""
    service_command: Callable[[str], Sequence[str]] = service_command

    def services(self) -> tuple[str, ...]:
        """The services to start, in their order. Raises ConfigError for a name that doesn't exist."""
        known = (*SERVICES, DISCORD)
        for name in self.only:
            if name not in known:
                raise errors.ConfigError(f"there is no service {name!r}: choose from {', '.join(known)}")
        return tuple(name for name in known if not self.only or name in self.only)

    def packs(self) -> Path:
        """The folder with the characters."""
        return config.read(config.Common, self.environ).characters_path()

    def cast(self) -> dict[str, str]:
        """Each character that has a Discord token -> the variable it is in.

        Raises ConfigError for a token that belongs to nobody.
        """
        found = {
            pack.stem: variable
            for pack in sorted(self.packs().glob("*.toml"))
            if self.environ.get(variable := token_name(pack.stem), "")
        }
        for name, value in self.environ.items():
            if value and name.startswith(f"{TOKEN}_") and name not in found.values():
                raise errors.ConfigError(f"{name} is set, but {self.packs()} has no character of that name")
        return found


def token_name(character: str) -> str:
    """The variable with a character's token: letters and digits stay, anything else becomes `_`."""
    return f"{TOKEN}_{re.sub(r'[^A-Za-z0-9]', '_', character).upper()}"
