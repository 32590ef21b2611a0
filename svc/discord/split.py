"""Cutting a text into messages Discord takes: at a paragraph, a line, a sentence, a word, in this order.

A code block that is cut is closed at the end of one piece and opened again, with its language, in the next.
The same text always gives the same pieces: a redelivered `say` must be recognised piece by piece.
"""

from __future__ import annotations

import dataclasses
import re

from svc.discord import graphemes

MESSAGE_CHARS_MAX = 2000
"""Discord's limit for bots."""
LIMIT_MIN = 100
"""Below this a piece of a code block would be hardly more than its fences."""
FILL_MIN = 0.5
"""A piece is at least this full before a finer border is tried: no message of one short line, please."""

FENCE = re.compile(r"```(?P<language>[\w+#.-]{0,20}\n)?.*?```", re.DOTALL)
"""A whole code block. A fence that is never closed is none: Discord shows it as it is."""
TICKS = "```"
PARAGRAPH = re.compile(r"\n[ \t]*\n+")
LINE = re.compile(r"\n")
SENTENCE = re.compile(r"[.!?…][\"'”’»)*_]*\s+")
WORD = re.compile(r"\s+")
BORDERS = (PARAGRAPH, LINE, SENTENCE, WORD)


@dataclasses.dataclass(frozen=True, slots=True)
class Piece:
    """What is sent is `text`; the bodies of all pieces, joined, are the whole text again."""

    body: str
    opening: str = ""
    """The reopened fence, where the cut before this piece was inside a code block."""
    closing: str = ""

    @property
    def text(self) -> str:
        return f"{self.opening}{self.body}{self.closing}"


@dataclasses.dataclass(frozen=True, slots=True)
class Block:
    """A code block: the fences are `[start, inside)` and `[outside, end)`."""

    start: int
    inside: int
    outside: int
    end: int
    language: str


def split(text: str, limit: int = MESSAGE_CHARS_MAX) -> tuple[Piece, ...]:
    """Pieces whose text is at most `limit` (≥ `LIMIT_MIN`) characters long; none for an empty text."""
    if limit < LIMIT_MIN:
        raise ValueError(f"limit {limit} is too small: use at least {LIMIT_MIN}")
    blocks = [_block(match) for match in FENCE.finditer(text)]
    pieces = []
    position, opening = 0, ""
    while position < len(text):
        room = limit - len(opening)
        if len(text) - position <= room:
            pieces.append(Piece(text[position:], opening))
            break
        cut = _cut(text, blocks, position, room)
        block = _around(blocks, cut)
        closing = "" if block is None else TICKS if text[cut - 1] == "\n" else f"\n{TICKS}"
        pieces.append(Piece(text[position:cut], opening, closing))
        position, opening = cut, "" if block is None else f"{TICKS}{block.language}\n"
    return tuple(pieces)


def _block(match: re.Match[str]) -> Block:
    opened = match.group("language") or ""
    inside = match.start() + len(TICKS) + len(opened)
    return Block(match.start(), inside, match.end() - len(TICKS), match.end(), opened.rstrip("\n"))


def _around(blocks: list[Block], cut: int) -> Block | None:
    """The code block that a cut there tears."""
    return next((block for block in blocks if block.start < cut < block.end), None)


def _cut(text: str, blocks: list[Block], start: int, room: int) -> int:
    """Where the piece that starts at `start` ends, its closing fence counted."""
    least = start + max(int(room * FILL_MIN), 1)
    borders = [[match.end() for match in border.finditer(text, least, start + room)] for border in BORDERS]
    beside = [edge for block in blocks for edge in (block.start, block.end) if least <= edge <= start + room]
    for candidates in ([*borders[0], *beside], *borders[1:]):
        for cut in sorted(candidates, reverse=True):
            if _allowed(text, blocks, cut, start + room):
                return cut
    for cut in range(start + room, start, -1):
        if _allowed(text, blocks, cut, start + room):
            return cut
    # Nothing but one absurd cluster: tear it, away from any fence.
    return next(cut for cut in range(start + room, start, -1) if _fits(blocks, cut, start + room))


def _allowed(text: str, blocks: list[Block], cut: int, end: int) -> bool:
    return _fits(blocks, cut, end) and graphemes.border(text, cut)


def _fits(blocks: list[Block], cut: int, end: int) -> bool:
    """Not inside a fence itself, and inside a code block with room for closing it."""
    block = _around(blocks, cut)
    if block is None:
        return True
    return block.inside < cut < block.outside and cut + len(f"\n{TICKS}") <= end
