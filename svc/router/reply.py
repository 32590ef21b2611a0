"""What becomes of a draft before it is judged: one speaker, one paragraph, whole sentences."""

from __future__ import annotations

import re

SENTENCE_END = re.compile(r"(?<=[.!?…])[\"'”’)]*\s+")
CLOSED = re.compile(r"[.!?…][\"'”’)*]*$")
PREFIX_CHARS_MAX = 40


def tidy(text: str, name: str, *, sentences: int) -> str:
    """The first `sentences` sentences of the first paragraph, without the speaker's own name in front.

    A model that was cut off mid-sentence loses the unfinished one, if a finished one remains.
    """
    paragraph = text.strip().partition("\n")[0].strip()
    paragraph = _without_own_name(paragraph, name)
    parts = [part.strip() for part in SENTENCE_END.split(paragraph) if part.strip()]
    kept = parts[:sentences]
    if len(kept) > 1 and not CLOSED.search(kept[-1]):
        kept.pop()
    return _restore_quotes(" ".join(kept))


def _without_own_name(text: str, name: str) -> str:
    """Small models like to begin with "Peter Griffin:"; that says nothing and looks odd in a chat."""
    head, colon, rest = text[:PREFIX_CHARS_MAX].partition(":")
    if colon and head.strip(" *_\"'").casefold() in {name.casefold(), *name.casefold().split()[:1]}:
        return text[len(head) + 1 :].strip(" *_\"'") if rest or len(text) > len(head) + 1 else ""
    return text


def _restore_quotes(text: str) -> str:
    """Drop a lone quotation mark that lost its partner when sentences were cut off."""
    return text.replace('"', "").strip() if text.count('"') % 2 else text
