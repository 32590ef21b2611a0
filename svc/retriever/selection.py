"""Which of the candidates are worth handing on."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

from svc.wire import retriever

PER_PAGE = 2
"""Passages of one page; a third says little that is new and takes another page's place."""
SAME_WORDS = 0.8
"""Share of common words (Jaccard) from which two passages are the same."""

WORD = re.compile(r"\w+")


def select(
    candidates: Iterable[retriever.Passage], floor: float, limit: int
) -> tuple[retriever.Passage, ...]:
    """At most `limit` of `candidates` (best first), none below `floor`, no near-duplicates. Pure."""
    chosen: list[retriever.Passage] = []
    words: list[set[str]] = []
    pages: Counter[tuple[str, str]] = Counter()
    for passage in candidates:
        if len(chosen) == limit:
            break
        page = (passage.source, passage.title)
        said = set(WORD.findall(passage.text.lower()))
        if passage.score < floor or pages[page] == PER_PAGE or any(_alike(said, other) for other in words):
            continue
        chosen.append(passage)
        words.append(said)
        pages[page] += 1
    return tuple(chosen)


def _alike(one: set[str], other: set[str]) -> bool:
    return len(one & other) >= SAME_WORDS * max(len(one | other), 1)
