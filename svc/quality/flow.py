"""Flow: does it answer what was said?"""

from __future__ import annotations

import re

import numpy as np

from svc import embedding
from svc.quality import grammar, score, text
from svc.quality.case import Case, Meaning

CLOSENESS = ((-0.05, 5.0), (0.03, 20.0), (0.10, 48.0), (0.20, 72.0), (0.35, 88.0), (0.60, 100.0))
"""Cosine of message and reply -> points. Direct answers lie above 0.25, witty ones above 0.1."""
HISTORY_SHARE = 0.7
PASSAGE_SHARE = 0.75
"""Picking up an earlier line, or the knowledge behind it, counts less than answering the message: with more
texts to be close to, a stranger comes close to one of them sooner."""

SMALL_TALK_WORDS = 1
"""With so few words of content there is no topic to miss: "hey!", "lol", "what's up?"."""
SMALL_TALK_POINTS = 72.0

OPEN_QUESTION_POINTS = 50.0
"""Almost anything answers "what did you do today?"."""

SHARED_WORD_POINTS = 14.0
ANSWER_POINTS = 16.0
PICKUP_POINTS = 8.0
ADDRESS_POINTS = 8.0
SIGNALS_MAX = 28.0
LOOSE_POINTS = -20.0
"""A reply whose word order is doubtful is hard to follow."""
LOOSE_WORDS_MIN = 10

OPEN_QUESTION = re.compile(
    r"\b(?:what(?:'s| is| are)? (?:up|new|happening|going on)|what (?:did|do|have|are|were) you (?:do|been"
    r"|doing)\b|"
    r"how(?:'s| is| are|'re| was| were) (?:it|you|your day|things|life)\b|tell me (?:something|anything"
    r"|a (?:joke|story))|"
    r"any (?:plans|news|thoughts|advice)|say something|what do you think)\b",
    re.IGNORECASE,
)
YES_NO = re.compile(
    r"(?:^|[.!?,]\s*)(?:are|is|am|was|were|do|does|did|can|could|will|would|should|have|has|had|may|isn't"
    r"|aren't|"
    r"don't|doesn't|didn't|can't|won't|wouldn't|shouldn't|haven't)\s+\w+[^.!]*\?",
    re.IGNORECASE,
)
ANSWER = re.compile(
    r"^\W*(?:oh,? |well,? |ha,? |hell |heck )?(?:yes|yeah|yep|yup|no|nope|nah|never|sure|of course"
    r"|absolutely|"
    r"certainly not|not (?:really|exactly|a|in)|maybe|perhaps|obviously|hell no|who, me|me\?)\b",
    re.IGNORECASE,
)
PICKUP = re.compile(
    r"^\W*(?:oh|ah|aw|ha|well|yeah|no|wait|really|exactly|right|okay|sorry|thanks|thank you|you're|that"
    r"|that's|it|it's|"
    r"it was|there|because|'cause|so)\b",
    re.IGNORECASE,
)


def judge(case: Case, meaning: Meaning) -> score.Score:
    """Closeness of meaning to what was said, helped by the cheap signs of an answer."""
    user = text.content(case.scene.user_words)
    if len(user) <= SMALL_TALK_WORDS and not case.scene.user.endswith("?"):
        base, found = SMALL_TALK_POINTS, ["small talk: nothing to miss"]
        base = max(base, score.along(float(meaning.reply @ meaning.user), CLOSENESS))
    else:
        close, source = _closest(meaning)
        base, found = score.along(close, CLOSENESS), [f"{close:.2f} close to {source}"]
        if OPEN_QUESTION.search(case.scene.user):
            base = max(base, OPEN_QUESTION_POINTS)
            found.append("an open question")
    signs = _signs(case, user)
    base += min(SIGNALS_MAX, sum(points for points, _ in signs))
    found += [reason for _, reason in signs]
    if len(case.words) >= LOOSE_WORDS_MIN and case.scene.cast.languages[case.scene.pack.id] == "en":
        order = case.scene.cast.grammar.order(case.text)
        if order < grammar.LOOSE_NATS:
            base += LOOSE_POINTS
            found.append("hard to follow")
    return score.clamped(base, found)


def _closest(meaning: Meaning) -> tuple[float, str]:
    options = (
        (float(meaning.reply @ meaning.user), "the message"),
        (HISTORY_SHARE * _best(meaning.near, meaning.reply), "an earlier line"),
        (PASSAGE_SHARE * _best(meaning.passages, meaning.reply), "what is known about it"),
    )
    return max(options)


def _best(rows: embedding.Vectors, reply: embedding.Vectors) -> float:
    return float(np.max(rows @ reply)) if len(rows) else -1.0


def _signs(case: Case, user: frozenset[str]) -> list[tuple[float, str]]:
    signs: list[tuple[float, str]] = []
    if shared := user & text.content(case.words):
        signs.append((SHARED_WORD_POINTS, f"takes up {min(shared)!r}"))
    if ANSWER.match(case.text) and YES_NO.search(case.scene.user):
        signs.append((ANSWER_POINTS, "answers yes or no"))
    elif PICKUP.match(case.text):
        signs.append((PICKUP_POINTS, "picks up the thread"))
    author = case.scene.request.author.lower()
    if author and author in case.text.lower():
        signs.append((ADDRESS_POINTS, "speaks to who asked"))
    return signs
