"""Saying it again: loops inside a reply, the user's own words, what one of the cast has just said."""

from __future__ import annotations

import itertools
import re
from collections import Counter

import numpy as np

from svc.quality import text
from svc.quality.case import Case, Meaning

SAME_WORD_MAX = 7
"""The same word in a row: "Lois. Lois. Lois. Mom. Mom." is a joke, twenty are a broken model."""
PHRASE_WORDS = 3
PHRASE_TIMES = 3
PHRASE_SHARE = 0.4
"""A phrase said three times that makes up so much of the reply is a loop."""
SENTENCE_TIMES = 3
SENTENCE_WORDS_MIN = 3
LONG_SENTENCE_WORDS = 5
"""From so many words on, a sentence said twice is one too many."""
VARIETY_WORDS_MIN = 24
VARIETY_MIN = 0.35
"""Different words among all words; sound replies of that length have 0.6 or more."""
NOISE = re.compile(r"(\S{1,6}?)\1{15,}")
"""The same few characters over and over: `hahaha` may be long, not endless."""

ECHO_WORDS_MIN = 4
ECHO_RUN_SHARE = 0.7
ECHO_COSINE = 0.95
AGAIN_WORDS_MIN = 3
AGAIN_COSINE = 0.90
AGAIN_SHARED_MIN = 0.4
AGAIN_SHARED = 0.8
"""Two lines say the same when nearly all their words agree, or when both meaning and many words do."""


def loops(case: Case) -> str:
    """Phrases, sentences or letters that run in circles."""
    if NOISE.search(case.text) or _longest_row(case.words) > SAME_WORD_MAX:
        return "repeats one thing without end"
    said = Counter(text.words(sentence) for sentence in text.sentences(case.text))
    long_twice = any(times > 1 and len(words) >= LONG_SENTENCE_WORDS for words, times in said.items())
    if long_twice or any(
        times >= SENTENCE_TIMES and len(words) >= SENTENCE_WORDS_MIN for words, times in said.items()
    ):
        return "says the same sentence again and again"
    count = len(case.words)
    phrases = Counter(case.words[start : start + PHRASE_WORDS] for start in range(count - PHRASE_WORDS + 1))
    for phrase, times in phrases.items():
        # One word in a row is counted above: "beer, beer, beer" is no loop.
        if times >= PHRASE_TIMES and times * PHRASE_WORDS >= PHRASE_SHARE * count and len(set(phrase)) > 1:
            return "runs in a loop"
    if count >= VARIETY_WORDS_MIN and len(set(case.words)) < VARIETY_MIN * count:
        return "uses the same few words over and over"
    return ""


def echoes(case: Case) -> str:
    """The user's message given back, alone or inside other words."""
    user = case.scene.user_words
    if len(case.words) < ECHO_WORDS_MIN or len(user) < ECHO_WORDS_MIN:
        return ""
    run = text.shared_run(case.words, user)
    if run == len(user) or run >= ECHO_RUN_SHARE * len(case.words):
        return "echoes the message"
    return ""


def paraphrases(case: Case, meaning: Meaning) -> str:
    """The user's message given back in about the same words."""
    if len(case.words) < ECHO_WORDS_MIN or len(case.scene.user_words) < ECHO_WORDS_MIN:
        return ""
    close = float(meaning.reply @ meaning.user) >= ECHO_COSINE
    return "echoes the message" if close else ""


def again(case: Case, meaning: Meaning) -> str:
    """What one of the cast, any of them, said lately."""
    if len(case.words) < AGAIN_WORDS_MIN or not case.scene.ours:
        return ""
    closeness = meaning.ours @ meaning.reply
    for line, cosine in zip(case.scene.ours, np.asarray(closeness).tolist(), strict=True):
        shared = _shared(case.words, text.words(line))
        if shared >= AGAIN_SHARED or (cosine >= AGAIN_COSINE and shared >= AGAIN_SHARED_MIN):
            return "says again what was said a moment ago"
    return ""


def _shared(left: tuple[str, ...], right: tuple[str, ...]) -> float:
    mine, theirs = set(left), set(right)
    return len(mine & theirs) / max(1, len(mine | theirs))


def _longest_row(words: tuple[str, ...]) -> int:
    best = run = 1
    for left, right in itertools.pairwise(words):
        run = run + 1 if left == right else 1
        best = max(best, run)
    return best
