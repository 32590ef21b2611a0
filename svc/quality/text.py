"""Reading a line of chat: its plain form, its words, its sentences."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence

from svc.quality import lexicon

INVISIBLE = dict.fromkeys(map(ord, "\u00ad\u200b\u200c\u200d\u2060\ufeff"))
STRAIGHT = str.maketrans({"‘": "'", "’": "'", "“": '"', "”": '"', "…": "..."})
WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)*|\d+(?:[.,:]\d+)*")
SENTENCE = re.compile(r"[^.!?\n]+(?:[.!?]+[\"')\]]*|\n|$)")
SUFFIXES = ("ingly", "edly", "ing", "ies", "ied", "ed", "es", "ly", "s")
STEM_LETTERS_MIN = 3
"""A suffix is only taken off when at least this much is left: `king` stays `king`."""


def plain(text: str) -> str:
    """Compatibility forms folded, invisible characters dropped, quotes straight: what patterns are run on."""
    return unicodedata.normalize("NFKC", text).translate(INVISIBLE).translate(STRAIGHT).strip()


def words(text: str) -> tuple[str, ...]:
    """Lower-case words and numbers of a plain text, contractions whole."""
    return tuple(WORD.findall(text.lower()))


def sentences(text: str) -> tuple[str, ...]:
    """The sentences of a plain text, with their end marks."""
    return tuple(piece.strip() for piece in SENTENCE.findall(text) if WORD.search(piece))


def stem(word: str) -> str:
    """A crude stem, good enough to see that `brewing` and `brewed` share one."""
    bare = word.split("'")[0]
    for suffix in SUFFIXES:
        if bare.endswith(suffix) and len(bare) - len(suffix) >= STEM_LETTERS_MIN:
            return bare[: -len(suffix)].rstrip("e") + ("y" if suffix in ("ies", "ied") else "")
    return bare.rstrip("e") or bare


def content(spoken: Iterable[str]) -> frozenset[str]:
    """Stems of the words that carry a topic."""
    return frozenset(
        stem(word) for word in spoken if word not in lexicon.ENGLISH and len(word) > 1 and word.isalpha()
    )


def shared_run(left: Sequence[str], right: Sequence[str]) -> int:
    """Length of the longest run of words that both have in the same order without a gap."""
    best = 0
    previous = [0] * (len(right) + 1)
    for word in left:
        current = [0] * (len(right) + 1)
        for index, other in enumerate(right):
            if word == other:
                current[index + 1] = previous[index] + 1
                best = max(best, current[index + 1])
        previous = current
    return best
