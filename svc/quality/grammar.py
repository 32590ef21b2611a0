"""Does the order of the words make sense? Tells a sentence from a salad of its words, without a parser.

Words become one of some thirty classes (`lexicon.CLASSES` and a few endings); a bigram model of those classes
learns which class follows which from text known to be sound: the packs' own lines, the neutral lines, and the
counts in `order.json` (479,000 neighbours in 35,000 sentences of English from Python library documentation).
The measure is the mean pointwise mutual information of neighbours, in nats: clearly above 0 in sound text,
below it in shuffled text. Few words prove nothing, so short replies are never judged.
"""

from __future__ import annotations

import itertools
import json
import math
import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from svc.quality import lexicon, text

COUNTS_FILE = Path(__file__).with_name("order.json")
COUNTS_WEIGHT = 0.1
"""Documentation is not talk: its counts weigh less than the cast's own."""
WORDS_MIN = 8
FUNCTION_SHARE_MIN = 0.18
"""Share of function words below which a longer reply is a list of words; sound lines have 0.3 to 0.6."""
PMI_MIN = -1.2
"""No single pair, however rare, says more than this: wit likes an odd pair."""
SALAD_NATS = -0.13
"""Mean below which the order is noise: 1 of 100 sound lines never seen, 67 of 100 of them shuffled."""
LOOSE_NATS = 0.08
"""Below this the order is doubtful: no reason to stop, a reason to score lower."""
PRIOR_PAIRS = 4.0
"""Strength of the belief that a class follows at its usual rate, in observed pairs."""
UNKNOWN_LETTERS_SHARE = 0.5
"""Share of a word's letter triples never seen in sound text above which it is no word at all."""
GIBBERISH_SHARE = 0.6
"""Share of such words above which the reply is keyboard noise."""
GIBBERISH_WORDS_MIN = 2
CLASS_OF = {word: name for name, listed in reversed(lexicon.CLASSES.items()) for word in listed}
TOKEN = re.compile(
    r"[a-z]*\d[\w.,:-]*\w|\d|"
    r"[a-z]+(?=n't\b)|n't|'(?:m|s|re|ve|ll|d)\b|[a-z]+(?:'[a-z]+)?|[,;:.!?—-]+",
    re.IGNORECASE,
)
ENDINGS = (("ing", "-ing"), ("ed", "-ed"), ("ly", "-ly"), ("s", "-s"))
EDGE = "|"


def classes(plain: str) -> list[str]:
    """The classes of a text's words; sentence ends and commas are edges."""
    found = [EDGE]
    for match in TOKEN.finditer(plain):
        token = match.group()
        if not token[0].isalnum() and token[0] != "'":
            if found[-1] != EDGE:
                found.append(EDGE)
            continue
        found.append(_class(token, first=found[-1] == EDGE))
    if found[-1] != EDGE:
        found.append(EDGE)
    return found


class Grammar:
    """Learned from sound text; `salad` and `gibberish` judge a new one."""

    def __init__(self, sound: Iterable[str]) -> None:
        self._pairs: dict[tuple[str, str], float] = defaultdict(float)
        self._left: dict[str, float] = defaultdict(float)
        self._right: dict[str, float] = defaultdict(float)
        self._letters: set[str] = set()
        for left, follows in json.loads(COUNTS_FILE.read_text(encoding="utf-8")).items():
            for right, times in follows.items():
                self._learn(left, right, COUNTS_WEIGHT * times)
        for line in sound:
            plain = text.plain(line)
            found = classes(plain)
            for left, right in itertools.pairwise(found):
                self._learn(left, right, 1.0)
            for word in text.words(plain):
                self._letters.update(_triples(word))
        self._total = sum(self._right.values())

    def order(self, plain: str) -> float:
        """Mean PMI of neighbouring classes, in nats."""
        found = classes(plain)
        values = [self._pmi(left, right) for left, right in itertools.pairwise(found)]
        return sum(values) / len(values) if values else 0.0

    def salad(self, plain: str) -> bool:
        """Whether this is words rather than sentences."""
        spoken = text.words(plain)
        if len(spoken) < WORDS_MIN:
            return False
        known = sum(word in lexicon.ENGLISH or word in CLASS_OF for word in spoken)
        return known / len(spoken) < FUNCTION_SHARE_MIN or self.order(plain) < SALAD_NATS

    def gibberish(self, plain: str) -> bool:
        """Whether most of its words are no words."""
        spoken = [word for word in text.words(plain) if word.isalpha() and len(word) > 3]
        noise = sum(self._noise(word) for word in spoken)
        return noise >= GIBBERISH_WORDS_MIN and noise > GIBBERISH_SHARE * len(spoken)

    def _learn(self, left: str, right: str, times: float) -> None:
        self._pairs[left, right] += times
        self._left[left] += times
        self._right[right] += times

    def _pmi(self, left: str, right: str) -> float:
        usual = (self._right.get(right, 0.0) + 1) / (self._total + len(self._right) + 1)
        pairs = self._pairs.get((left, right), 0.0)
        seen = (pairs + PRIOR_PAIRS * usual) / (self._left.get(left, 0.0) + PRIOR_PAIRS)
        return max(PMI_MIN, math.log(seen / usual))

    def _noise(self, word: str) -> bool:
        triples = _triples(word)
        unseen = sum(triple not in self._letters for triple in triples)
        return unseen > UNKNOWN_LETTERS_SHARE * len(triples)


def _class(token: str, *, first: bool) -> str:
    lower = token.lower()
    if any(character.isdigit() for character in lower):
        return "number"
    if known := CLASS_OF.get(lower):
        return known
    if token[0].isupper() and not first:
        return "Name"
    for ending, name in ENDINGS:
        if lower.endswith(ending) and len(lower) > len(ending) + 2:
            return name
    return "other"


def _triples(word: str) -> list[str]:
    padded = f"^{word}$"
    return [padded[index : index + 3] for index in range(len(padded) - 2)]
