"""Our own services as parts of the stack: their commands, and the environment each of them gets."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from svc.stack import child, options, part, ports

LOGIN_PAUSE_S = 300.0
"""Before a Discord login that only its owner can mend is tried again: a bot that identifies 1,000 times a day
loses its token."""
CHARACTER = "CHARACTER"
ONE_PROCESS = (CHARACTER, f"QUAHOG_{CHARACTER}", f"QUAHOG_{options.TOKEN}")
"""Variables that mean one Discord process: they would make the same character of all of them."""


class Service:
    """One service as one process; it tells by itself when it is ready."""

    essential = False
    grace_s = part.SERVICE_GRACE_S

    def __init__(
        self,
        name: str,
        argv: tuple[str, ...],
        env: Mapping[str, str],
        *,
        numbers: ports.Ports | None = None,
        owner_pause_s: float = 0.0,
    ) -> None:
        """`numbers`: the ports it opens itself (the bridge does)."""
        self.name = name
        self.owner_pause_s = owner_pause_s
        self._argv = argv
        self._env = env
        self._ports = numbers

    def launch(self, fresh: bool) -> part.Launch:
        if self._ports is None:
            return part.Launch(argv=self._argv, env=self._env)
        if fresh:
            self._ports.secure(*self._ports.bridge())
        opened = json.dumps(self._ports.bridge())
        return part.Launch(argv=self._argv, env={**self._env, ports.VARIABLE: opened})

    async def ready(self, process: child.Child, doing: Callable[[str], None]) -> bool:
        return await process.told_ready(doing)


def build(asked: options.Options, urls: Mapping[str, str], numbers: ports.Ports) -> list[Service]:
    """Every service that was asked for; one `discord` for each character that has a token.

    `urls`: QUAHOG_NATS_URL and its like. Raises ConfigError for a token that belongs to nobody.
    """
    env = environment(asked) | dict(urls)
    built: list[Service] = []
    for name in asked.services():
        argv = tuple(asked.service_command(name))
        if name != options.DISCORD:
            built.append(Service(name, argv, env, numbers=numbers if name == "bridge" else None))
            continue
        for character, variable in asked.cast().items():
            own = {CHARACTER: character, variable: asked.environ[variable]}
            built.append(Service(f"{name}-{character}", argv, {**env, **own}, owner_pause_s=LOGIN_PAUSE_S))
    return built


def environment(asked: options.Options) -> dict[str, str]:
    """What every service inherits: the user's environment without the tokens, and the data folder."""
    env = {
        name: value
        for name, value in asked.environ.items()
        if not name.startswith(options.TOKEN) and name not in ONE_PROCESS
    }
    return env | {"PYTHONUNBUFFERED": "1", "QUAHOG_DATA": str(asked.data)}
