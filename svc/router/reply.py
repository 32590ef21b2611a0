"""What becomes of a draft before it is judged: one speaker, one paragraph, whole sentences."""

from __future__ import annotations

import re
from collections.abc import Iterator

END = re.compile(r"[.!?…]+[\"'”’)\]*_]*(?=\s+(?![a-zß-öø-ÿ])|\s*$)")
"""Where a sentence may end: behind its closing quotes and brackets, and not before a small letter."""
ABBREVIATION = re.compile(r"(?:\b(?:Dr|Mr|Mrs|Ms|St|Prof|Sgt|Lt|Jr|Sr|vs|etc|No)|\b[A-Za-z])\.$")
"""A full stop behind one of these, or behind a single letter, ends nothing."""
PREFIX_CHARS_MAX = 40
MARKUP = "*_\"'"


def tidy(text: str, name: str, *, sentences: int) -> str:
    """The first `sentences` sentences of the first paragraph, without the speaker's own name in front.

    A model that was cut off mid-sentence loses the unfinished one, if a finished one remains.
    """
    paragraph = _without_own_name(" ".join(text.strip().partition("\n")[0].split()), name)
    ends = [end for _, end in zip(range(sentences), _ends(paragraph), strict=False)]
    return _without_lone_quote(paragraph[: ends[-1]].strip() if ends else paragraph)


def _ends(text: str) -> Iterator[int]:
    """The positions behind its sentences."""
    for match in END.finditer(text):
        if not ABBREVIATION.search(text[: match.end()]) or match.end() == len(text):
            yield match.end()


def _without_own_name(text: str, name: str) -> str:
    """Small models like to begin with "Peter Griffin:"; that says nothing and looks odd in a chat."""
    head, colon, _ = text[:PREFIX_CHARS_MAX].partition(":")
    bare = head.strip(f" {MARKUP}")
    if not colon or bare.casefold() not in {name.casefold(), *name.casefold().split()[:1]}:
        return text
    marks = head[: len(head) - len(head.lstrip(MARKUP))]
    return text[len(head) + 1 :].removeprefix(marks).strip()


def _without_lone_quote(text: str) -> str:
    """Drop a quotation mark that lost its partner when sentences were cut off."""
    return text.replace('"', "").strip() if text.count('"') % 2 else text
