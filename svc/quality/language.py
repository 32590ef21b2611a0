"""Which language a text is written in, from its letters and its commonest words."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from svc.quality import lexicon, text

LETTERS_MIN = 3
"""Fewer foreign letters are a loan or an emoticon."""
SCRIPT_SHARE_MAX = 0.3
"""More of another script than this and the text is in that script's language."""
WORDS_MIN = 5
"""Shorter texts are too short to tell: "C'est la vie" is something an English speaker says."""
HITS_MIN = 3
LEAD = 2.0
"""The other language needs this many times the English hits."""

_ONLY = {
    code: listed - lexicon.ENGLISH - lexicon.CLASSES["verb"] - lexicon.CLASSES["interjection"]
    for code, listed in lexicon.FOREIGN.items()
}


def guess(plain: str) -> str:
    """A language code (`en`, `de`, …), the name of a script (`cyrillic`), or "" when it can't be told."""
    if script := _script(plain):
        return script
    spoken = text.words(plain)
    if len(spoken) < WORDS_MIN:
        return ""
    english = sum(word in lexicon.ENGLISH for word in spoken)
    code, hits = max(
        ((code, _hits(spoken, listed)) for code, listed in _ONLY.items()), key=lambda pair: pair[1]
    )
    if hits >= HITS_MIN and hits >= LEAD * english:
        return code
    return "en" if english > hits else ""


def _hits(spoken: Sequence[str], listed: frozenset[str]) -> int:
    return sum(word in listed for word in spoken)


def _script(plain: str) -> str:
    """The script of most foreign letters, when they are too many for a text in Latin letters."""
    letters = [character for character in plain if character.isalpha()]
    foreign = [character for character in letters if ord(character) > 0x24F]
    if len(foreign) < LETTERS_MIN or len(foreign) <= SCRIPT_SHARE_MAX * len(letters):
        return ""
    return unicodedata.name(foreign[0], "unknown").split()[0].lower()
