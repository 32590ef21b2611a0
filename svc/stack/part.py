"""What the supervisor needs to know about a part: how to start it, and how to see that it is ready."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from svc.stack import child

SERVER_GRACE_S = 1.2
SERVICE_GRACE_S = 3.0
"""How long a server or a service may take to stop: one after the other, less than the 5 s in all."""
KEPT = ("PATH", "HOME", "TMPDIR", "TZ", "LANG", "LC_ALL")
"""All that somebody else's server gets from our environment: no tokens, no settings."""


@dataclasses.dataclass(frozen=True, slots=True)
class Launch:
    """One process to be started."""

    argv: Sequence[str]
    env: Mapping[str, str]


class Part(Protocol):
    """One process of the stack."""

    @property
    def name(self) -> str: ...

    @property
    def essential(self) -> bool:
        """True: the stack can't start without it, and its port never changes once others know it."""
        ...

    @property
    def grace_s(self) -> float:
        """How long it may take to stop before it is killed."""
        ...

    @property
    def owner_pause_s(self) -> float:
        """The least pause after it ended with EXIT_CONFIG; 0 = as after any other end."""
        ...

    def launch(self, fresh: bool) -> Launch:
        """How to start it now. `fresh`: nobody relies on its ports yet, taken ones may be replaced."""
        ...

    async def ready(self, process: child.Child, doing: Callable[[str], None]) -> bool:
        """Wait until it works: True. False when it said that it can't. Never ends by itself otherwise.

        Raises StackError when it runs but may not be used as it is. `doing` shows what goes on.
        """
        ...


def bare(environ: Mapping[str, str]) -> dict[str, str]:
    """The part of our environment that a foreign server may see."""
    return {name: environ[name] for name in KEPT if name in environ}
