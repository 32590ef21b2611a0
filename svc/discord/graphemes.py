"""Where a text may be cut without tearing what a person sees as one character.

An approximation of Unicode's grapheme clusters (UAX 29) by character properties that Python has. It may call
a cluster longer than it is, never shorter, for what people type in a chat.
"""

from __future__ import annotations

import unicodedata

JOINER = "\u200d"
SKIN_TONES = range(0x1F3FB, 0x1F400)
FLAG_LETTERS = range(0x1F1E6, 0x1F200)
TAGS = range(0xE0020, 0xE0080)
HANGUL_FOLLOWING = range(0x1160, 0x1200)
"""Vowels and final consonants that join the syllable before them."""
CLUSTER_CHARS_MAX = 64
"""A longer cluster is a prank with stacked accents, and may be torn."""


def border(text: str, at: int) -> bool:
    """Whether `text` may be cut before the character at `at`."""
    if at <= 0 or at >= len(text):
        return True
    before, after = text[at - 1], text[at]
    if before == "\r" and after == "\n":
        return False
    if before == JOINER or _extends(after):
        return False
    if ord(before) in FLAG_LETTERS and ord(after) in FLAG_LETTERS:
        return _flag_letters_before(text, at) % 2 == 0
    return True


def border_before(text: str, at: int) -> int:
    """The last place not after `at` where `text` may be cut; `at` itself inside an absurdly long cluster."""
    for candidate in range(at, max(at - CLUSTER_CHARS_MAX, 0), -1):
        if border(text, candidate):
            return candidate
    return at


def _extends(character: str) -> bool:
    """Whether it belongs to the character before it: accents, variation selectors, joiners, skin tones."""
    code = ord(character)
    return (
        unicodedata.category(character) in ("Mn", "Me", "Mc")
        or character in (JOINER, "\u200c")
        or code in SKIN_TONES
        or code in TAGS
        or code in HANGUL_FOLLOWING
    )


def _flag_letters_before(text: str, at: int) -> int:
    count = 0
    while count < at and ord(text[at - 1 - count]) in FLAG_LETTERS:
        count += 1
    return count
