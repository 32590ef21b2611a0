"""What is searched for: the user's words, and the names they stand for.

"And where does he work?" finds nothing by itself; "And where does he work? Glenn Quagmire" does. Names are
only ever appended, so a bad guess costs a little relevance and never the question itself.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from svc.wire import message

TEXT_CHARS_MAX = 600
"""The embedder reads 256 tokens; of a longer message the beginning says what it is about."""
SHORT_WORDS = 3
"""A message of so few words leans on what was said before it."""
LINES_MAX = 4
"""Lines of history that a pronoun may reach back to."""
NAMES_MAX = 2
"""More names than this would drown the question."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


PRONOUNS = _words(
    "he him his she her hers they them their theirs it its this that these those there then one ones"
)
ADDRESS = _words("you your yours yourself ya u ur")
SMALL = (
    PRONOUNS
    | ADDRESS
    | _words(
        """
    a about again ah all also am an and any anyone anything are as ask at be because been but by can
    come could dad did do does doing dude else ever every everyone few for from get go god good got
    great guys had has have hello hey hi holy how i i'm if in is isn't just know let let's like lol
    look man maybe me mom more most my never nice no not now of off oh ok okay on only or our out
    please really right say see should so some sometimes somebody someone something still such sure
    tell than thanks the think to today too true up us very wait was we well were what what's when
    where where's which while who who's whoa whose why will with wow would yeah yep yes yet
    """
    )
)
"""Words that start sentences in capitals without being names; compared in lower case."""

MARKUP = re.compile(r"<(?:@[!&]?|#|a?:\w+:|t:)[^>]{0,64}>|https?://\S+")
WORD = re.compile(r"[^\W\d_][\w'’.-]*[^\W_]|[^\W\d_]")
PART = r"(?:(?:Dr|Mrs?|Ms|St)\.|[A-Z][\w'’-]*)"
NAME = re.compile(rf"{PART}(?:\s(?:(?:of|the|de|von)\s)?{PART})*")
SENTENCE_START = re.compile(r"(?:^|[.!?:…\n])[\s\"“'‘(*_]*$")
CONTRACTION = re.compile(r"['’](?:s|re|ll|d|ve|m|t)?$", re.IGNORECASE)


def rewrite(text: str, history: Sequence[message.Utterance] = (), character: str = "") -> str:
    """The query for `text`, said to `character` (its id, or "") after `history` (oldest first). Pure."""
    asked = " ".join(MARKUP.sub(" ", text).split())[:TEXT_CHARS_MAX]
    words = {match[0].lower() for match in WORD.finditer(asked)}
    names: list[str] = []
    if words & ADDRESS and character:
        # "Your favourite beer" said to Peter is Peter's favourite beer.
        names.append(character.replace("_", " ").replace("-", " ").title())
    if words & PRONOUNS or len(words) <= SHORT_WORDS:
        names += _recent(history)
    known = asked.lower()
    fresh: list[str] = []
    for name in names:
        if name.lower() not in known:
            fresh.append(name)
            known = f"{known} {name.lower()}"
    return " ".join(filter(None, (asked, ", ".join(fresh[: NAMES_MAX + 1]))))


def _recent(history: Sequence[message.Utterance]) -> list[str]:
    """Names in the last lines, the latest line first, at most NAMES_MAX."""
    found: list[str] = []
    for line in reversed(history[-LINES_MAX:]):
        if line.notice:
            continue  # our own excuse is about nothing
        for name in _names(MARKUP.sub(" ", line.text[:TEXT_CHARS_MAX])):
            if name not in found:
                found.append(name)
            if len(found) == NAMES_MAX:
                return found
    return found


def _names(text: str) -> list[str]:
    """Runs of capitalised words, without the small words that only start a sentence.

    A single word at the start of a sentence ("Old news") is believed only where nothing better is said.
    """
    sure: list[str] = []
    doubtful: list[str] = []
    for match in NAME.finditer(text):
        words = match[0].split()
        starts = SENTENCE_START.search(text, 0, match.start()) is not None
        while words and CONTRACTION.sub("", words[0]).lower() in SMALL:
            words.pop(0)
            starts = False
        name = CONTRACTION.sub("", " ".join(words))
        if len(name) < 2 or name.isupper():  # all capitals is shouting
            continue
        (doubtful if starts and len(words) == 1 else sure).append(name)
    return sure or doubtful
