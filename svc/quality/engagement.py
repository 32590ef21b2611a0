"""Engagement: would somebody want to answer this? Length, questions, signs of humour."""

from __future__ import annotations

import re

from svc.quality import score, text
from svc.quality.case import Case, Meaning

LENGTH = (
    (0.0, 5.0),
    (1.0, 30.0),
    (3.0, 58.0),
    (6.0, 72.0),
    (10.0, 76.0),
    (45.0, 76.0),
    (80.0, 52.0),
    (160.0, 15.0),
)
"""Words -> points: a chat line has 6 to 45; a lecture kills the channel."""
QUESTION_POINTS = 8.0
HUMOUR_POINTS = 6.0
HUMOUR_MAX = 18.0
FORMLESS_POINTS = -25.0
"""Lists and headings are a document, not a conversation."""
LIST_LINES_MIN = 2
UNFINISHED_POINTS = -15.0
"""It breaks off in the middle of a sentence."""
UNFINISHED_WORDS_MIN = 15
"""Shorter lines may well do without a full stop."""

UNFINISHED = re.compile(r"[\w,;'-]\s*$")
LIST_LINE = re.compile(r"^\s*(?:[-*•]|\d+[.)]|#+)\s+\S", re.MULTILINE)
HUMOUR: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"!"), "energy"),
    (re.compile(r"\b(?:like an? |as if |worse than |better than |basically )", re.IGNORECASE), "comparison"),
    (re.compile(r"\b(?:that|this|one|last) time (?:i|me|we|when)\b|\bonce\b", re.IGNORECASE), "anecdote"),
    (
        re.compile(
            r"(?:\.\.\.|\. (?:well|okay|oh|a little|long story|so|mostly|really|never mind)\b)", re.IGNORECASE
        ),
        "turn",
    ),
    (
        re.compile(
            r"\b(?:except|although|though|but|unless|at least|technically|apparently)\b", re.IGNORECASE
        ),
        "turn",
    ),
    (
        re.compile(r"\b(?:heh|ha|hehe\w*|haha\w*|ugh|wow|damn|blast|bah|holy \w+|oh,? \w+)\b", re.IGNORECASE),
        "exclamation",
    ),
    (
        re.compile(
            r"\b(?:you (?:\w+ )?(?:fool|idiot|imbecile|cretin|oaf|moron|dolt)|genius|ridiculous|absurd"
            r"|stupid|idiotic)\b",
            re.IGNORECASE,
        ),
        "mockery",
    ),
)


def judge(case: Case, meaning: Meaning) -> score.Score:
    """Points for a good length, a question back, and what makes people smile."""
    del meaning  # the form decides
    count = len(case.words)
    points, found = score.along(count, LENGTH), [f"{count} words"]
    if "?" in case.text:
        points += QUESTION_POINTS
        found.append("asks something")
    signs = dict.fromkeys(name for pattern, name in HUMOUR if pattern.search(case.text))
    points += min(HUMOUR_MAX, HUMOUR_POINTS * len(signs))
    found += signs
    if len(LIST_LINE.findall(case.text)) >= LIST_LINES_MIN:
        points += FORMLESS_POINTS
        found.append("written as a list")
    if len(text.sentences(case.text)) == 1 and count > LENGTH[-3][0]:
        points += FORMLESS_POINTS
        found.append("one endless sentence")
    if count >= UNFINISHED_WORDS_MIN and UNFINISHED.search(case.text):
        points += UNFINISHED_POINTS
        found.append("breaks off")
    return score.clamped(points, found)
