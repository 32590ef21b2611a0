"""How a line sounds, as numbers: its meaning, its letters and words, its manner."""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from svc import embedding
from svc.quality import lexicon, text

Matrix = npt.NDArray[np.float32]

LETTER_BUCKETS = 4096
WORD_BUCKETS = 4096
"""Hashed: a few collisions among some thousand n-grams cost less than a vocabulary that must be kept."""
LETTER_GRAMS = (2, 3, 4)
WORD_GRAMS = (1, 2)

MEANING_WEIGHT = 1.0
LETTERS_WEIGHT = 1.0
WORDS_WEIGHT = 0.8
MANNER_WEIGHT = 0.5
"""Shares of the four blocks in a line's vector; found by cross-validation over the packs."""

INFORMAL = re.compile(r"\b(?:gonna|gotta|wanna|ain't|kinda|'cause|cause|cuz|yeah|ya|guys?|dude|\w+in')(?!\w)")
FORMAL = re.compile(r"\b(?:shall|one|rather|quite|whom|upon|perhaps|suppose|indeed|merely|moreover|whilst)\b")


def matrix(lines: Sequence[str], meanings: embedding.Vectors) -> Matrix:
    """One row per line, `meanings` being their embeddings. The same line always gives the same row."""
    plain = [text.plain(line) for line in lines]
    blocks = (
        MEANING_WEIGHT * meanings,
        LETTERS_WEIGHT * _unit(np.stack([_letters(line) for line in plain])),
        WORDS_WEIGHT * _unit(np.stack([_words(line) for line in plain])),
        MANNER_WEIGHT * np.stack([_manner(line) for line in plain]),
    )
    return np.concatenate(blocks, axis=1, dtype=np.float32)


def _letters(plain: str) -> Matrix:
    counts = np.zeros(LETTER_BUCKETS, dtype=np.float32)
    padded = f" {plain.lower()} "
    for size in LETTER_GRAMS:
        for start in range(len(padded) - size + 1):
            _count(counts, padded[start : start + size])
    return np.sign(counts) * np.log1p(np.abs(counts))


def _words(plain: str) -> Matrix:
    counts = np.zeros(WORD_BUCKETS, dtype=np.float32)
    spoken = text.words(plain)
    for size in WORD_GRAMS:
        for start in range(len(spoken) - size + 1):
            _count(counts, " ".join(spoken[start : start + size]))
    return np.sign(counts) * np.log1p(np.abs(counts))


def _count(counts: Matrix, gram: str) -> None:
    """Add one n-gram to its bucket; a second bit of the hash gives the sign, so collisions cancel out."""
    hashed = zlib.crc32(gram.encode())
    counts[hashed % len(counts)] += 1.0 if hashed >> 31 else -1.0


def _manner(plain: str) -> Matrix:
    """Ten habits of speech, each about 0 to 1."""
    spoken = text.words(plain) or ("",)
    count = len(spoken)
    said = text.sentences(plain) or ("",)
    lower = plain.lower()
    return np.array(
        [
            min(1.0, count / 40),
            min(1.0, count / len(said) / 20),
            sum(map(len, spoken)) / count / 8,
            sum(len(word) >= 8 for word in spoken) / count * 3,
            min(1.0, plain.count("!") / len(said)),
            min(1.0, plain.count("?") / len(said)),
            min(1.0, plain.count(",") / len(said) / 2),
            min(1.0, len(INFORMAL.findall(lower)) / 2),
            min(1.0, len(FORMAL.findall(lower)) / 2),
            sum(word in lexicon.ENGLISH for word in spoken) / count,
        ],
        dtype=np.float32,
    )


def _unit(rows: Matrix) -> Matrix:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    unit: Matrix = rows / np.maximum(lengths, np.float32(1e-6))
    return unit
