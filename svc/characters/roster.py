"""The cast of one process: every pack it knows."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from svc.bus import errors
from svc.characters import pack
from svc.wire import characters


@dataclasses.dataclass(frozen=True, slots=True)
class Roster:
    """Packs by id. It never changes: to reload is to replace it by another."""

    packs: Mapping[str, characters.Pack]

    @classmethod
    def load(cls, folder: Path) -> Roster:
        """The roster of a folder of packs. Raises ConfigError naming file and line."""
        return cls(pack.load(folder))

    def find(self, character: str) -> characters.Pack:
        """The pack of that id. Raises Refused with the code `unknown_character`."""
        try:
            return self.packs[character]
        except KeyError:
            known = ", ".join(sorted(self.packs))
            message = f"there is no character {character!r}; known: {known}"
            raise errors.Refused("unknown_character", message) from None

    def others(self, character: str) -> dict[str, str]:
        """Id -> name of everybody else, in the order of their ids."""
        return {key: self.packs[key].name for key in sorted(self.packs) if key != character}
