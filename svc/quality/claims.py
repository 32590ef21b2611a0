"""The checkable claims in a reply: numbers and proper names."""

from __future__ import annotations

import dataclasses
import re
from typing import Literal

from svc.quality import lexicon, text

NAME = re.compile(r"[A-Z][\w'&-]*[a-z](?:\s+(?:of\s+(?:the\s+)?)?[A-Z][\w'&-]*[a-z])*")
NUMBER = re.compile(r"(?<![\w.])[$€£]?\d[\d,.:]*\d?%?(?:\s?(?:percent|million|billion|thousand))?(?!\w)")
YEAR = re.compile(r"(?:1[5-9]|20)\d\d")
OPENS = re.compile(r"(?:^|[.!?:;\n\"(*-])[\s\"'(*]*$")
"""What stands before a word that is capitalised because a sentence begins."""
SMALL_NUMBER = 12
"""Up to here numbers are manner of speech: "two beers", "9 out of 10"."""
COMMON_NAMES = frozenset(
    text.words(
        "monday tuesday wednesday thursday friday saturday sunday january february march april may june "
        "july august september october november december christmas halloween thanksgiving easter god "
        "jesus christ satan lord english british american french german italian irish chinese mexican "
        "european russian america england tv internet discord mr mrs ms dr sir mom dad mommy mummy daddy "
        "ok mum grandma grandpa "
    )
)
"""Capitalised, and nothing to check."""


@dataclasses.dataclass(frozen=True, slots=True)
class Claim:
    kind: Literal["year", "number", "name"]
    said: str
    words: tuple[str, ...]
    """What must be found in a source, lower case."""


def of(plain: str) -> tuple[Claim, ...]:
    """The claims of a plain text, in order, each once."""
    found = [*_numbers(plain), *_names(plain)]
    return tuple(dict.fromkeys(found))


def _numbers(plain: str) -> list[Claim]:
    claims: list[Claim] = []
    for match in NUMBER.finditer(plain):
        said = match.group().strip(".,: ")
        digits = re.sub(r"[^\d.]", "", said).strip(".")
        if YEAR.fullmatch(digits) and said == digits:
            claims.append(Claim("year", said, (digits,)))
        elif said != digits or float(digits.replace(".", "", digits.count(".") - 1) or 0) > SMALL_NUMBER:
            claims.append(Claim("number", said, text.words(said) or (digits,)))
    return claims


def _names(plain: str) -> list[Claim]:
    claims: list[Claim] = []
    for match in NAME.finditer(plain):
        parts = match.group().split()
        if OPENS.search(plain[: match.start()]) and (len(parts) == 1 or _ordinary(parts[0])):
            # Capitalised because the sentence begins: only what follows it tells a name.
            parts = parts[1:]
        words = tuple(word.lower().removesuffix("'s") for word in parts if not _ordinary(word))
        if words:
            claims.append(Claim("name", " ".join(parts), words))
    return claims


def _ordinary(word: str) -> bool:
    lower = word.lower().removesuffix("'s")
    return lower in COMMON_NAMES or lower in lexicon.ENGLISH or lower in lexicon.CLASSES["interjection"]
