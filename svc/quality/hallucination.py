"""Anti-hallucination: are its numbers and names known from anywhere, and how sure does it sound of them?

The cast tells tall tales, so this never refuses by itself: an unknown name costs some points, an exact
year nobody gave costs more, a claim that knowledge supports costs nothing, and doubt is worth something.
"""

from __future__ import annotations

import re

from svc.quality import claims, score, text, troupe
from svc.quality.case import Case, Meaning

PLAIN_POINTS = 94.0
"""Nothing claimed."""
SUPPORTED_POINTS = 100.0
COST = {"year": 26.0, "number": 18.0, "name": 16.0}
HEDGED_SHARE = 0.5
"""Of the cost, when it says that it isn't sure."""
CERTAIN_SHARE = 1.4
TALL_TALE_SHARE = 0.6
"""Of the cost in an anecdote about itself: nobody takes it for knowledge."""

HEDGE = re.compile(
    r"\b(?:i think|i guess|i believe|i suppose|probably|maybe|perhaps|might|about|roughly|around"
    r"|as far as i know|"
    r"if i remember|not sure|i heard|apparently|don't know|no idea|could be|or something)\b",
    re.IGNORECASE,
)
CERTAIN = re.compile(
    r"\b(?:in fact|fact:|studies show|scientists|statistics|research|according to|officially|it is known"
    r"|everyone knows|"
    r"proven|definitely|exactly|precisely|undoubtedly)\b",
    re.IGNORECASE,
)
TALE = re.compile(
    r"\b(?:that time|one time|once|remember when|back when|i|me|my|i'm|i've|i'll)\b", re.IGNORECASE
)


def judge(case: Case, meaning: Meaning) -> score.Score:
    """Points off for every claim without a source: fewer when hedged or in a tale, more when sold as fact."""
    del meaning  # sources are searched word by word: a vector can't tell 1997 from 1979
    found = claims.of(case.text)
    known = case.scene.cast.lore | frozenset(
        word for source in case.scene.given for word in text.words(source)
    )
    present = frozenset(text.words(text.plain(case.scene.request.author)))
    unknown = [claim for claim in found if not _supported(claim, known | present)]
    if not unknown:
        if found:
            return score.clamped(SUPPORTED_POINTS, tuple(f"{claim.said} is known" for claim in found[:3]))
        return score.clamped(PLAIN_POINTS, ("claims nothing",))
    share, manner = _manner(case.text)
    # A character whose own lines are full of names and numbers says one more without meaning it as knowledge.
    share /= 1.0 + _boldness(case)
    points = PLAIN_POINTS - share * sum(COST[claim.kind] for claim in unknown)
    reasons = [f"nothing known about {claim.said}" for claim in unknown[:3]]
    return score.clamped(points, (*reasons, manner) if manner else reasons)


def _supported(claim: claims.Claim, known: frozenset[str]) -> bool:
    return all(word in known or word.removesuffix("s") in known for word in claim.words)


def _manner(plain: str) -> tuple[float, str]:
    if CERTAIN.search(plain):
        return CERTAIN_SHARE, "sold as a fact"
    if HEDGE.search(plain):
        return HEDGED_SHARE, "said with doubt"
    if TALE.search(plain):
        return TALL_TALE_SHARE, "a tale about itself"
    return 1.0, ""


def _boldness(case: Case) -> float:
    """Claims per line in the pack's own lines: 0 for the careful, about 1 for a braggart."""
    lines = troupe.spoken(case.scene.pack)
    return min(1.0, sum(len(claims.of(text.plain(line))) for line in lines) / max(1, len(lines)))
