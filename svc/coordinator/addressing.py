"""Who is spoken to: by the surface's word (a mention, a picker), by name or alias, or everybody.

Pure functions over the text. Names match as whole words, whatever their case; the longest match of a place
counts, so "Peter Pan" in a pack's aliases would win over "Peter".
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from svc.wire import characters, message

EVERYBODY = re.compile(r"\b(everyone|everybody|all of you|you all|y'all|you guys)\b", re.IGNORECASE)
OPEN_SURFACES = {"console"}
"""Where a person sits alone with the cast: words to nobody in particular are words to everybody."""


class Names:
    """The names the cast answers to."""

    def __init__(self, packs: Sequence[characters.Pack]) -> None:
        self.ids = tuple(pack.id for pack in packs)
        names: dict[str, str] = {}
        for pack in packs:
            for name in (pack.id, pack.name, pack.name.split()[0], *pack.aliases):
                names.setdefault(name.casefold(), pack.id)
        self._names: Mapping[str, str] = names
        longest_first = sorted(names, key=len, reverse=True)
        alternatives = "|".join(re.escape(name) for name in longest_first)
        # Over casefolded text: what IGNORECASE takes for equal is not always a key of the table (ı, İ).
        self._pattern = re.compile(rf"(?<!\w)(?:{alternatives})(?!\w)")

    def called(self, text: str) -> tuple[str, ...]:
        """Ids of the characters named in `text`, in order of appearance."""
        found = (self._names[match.group()] for match in self._pattern.finditer(text.casefold()))
        return tuple(dict.fromkeys(found))


def addressed(heard: message.Heard, names: Names) -> dict[str, str]:
    """Character id -> why it is addressed, in the order in which they should answer; empty = nobody is."""
    if heard.author.bot:
        return {}
    if known := [name for name in heard.to if name in names.ids]:
        return dict.fromkeys(known, "addressed by mention, reply or choice")
    if called := names.called(heard.text):
        return dict.fromkeys(called, "called by name")
    if EVERYBODY.search(heard.text):
        return dict.fromkeys(names.ids, "everybody is addressed")
    if heard.surface in OPEN_SURFACES:
        return dict.fromkeys(names.ids, "nobody else is in the room")
    return {}
