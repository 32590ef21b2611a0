from __future__ import annotations

import re

import hypothesis
import pytest
from hypothesis import strategies

from svc.discord import graphemes, split

PROSE = strategies.lists(
    strategies.sampled_from([*"ab .!?\n`", "\n\n", "```", "```py\n", "🏳️‍🌈", "👍🏽", "🇩🇪", "é", "한"]),
    max_size=60,
).map("".join)
CHUNKS = strategies.lists(
    strategies.one_of(
        PROSE,
        strategies.text(max_size=40),
        strategies.sampled_from(["word " * 30, "x" * 150, "line\n" * 30, "```sh\n" + "run\n" * 40 + "```"]),
    ),
    max_size=8,
).map("".join)


@hypothesis.given(CHUNKS, strategies.integers(split.LIMIT_MIN, 300))
@hypothesis.settings(max_examples=60, deadline=None)
def test_pieces_fit_and_join_to_the_whole_text(text: str, limit: int) -> None:
    pieces = split.split(text, limit)
    assert "".join(piece.body for piece in pieces) == text
    assert all(0 < len(piece.text) <= limit for piece in pieces)
    assert all(piece.body for piece in pieces)
    assert split.split(text, limit) == pieces


@hypothesis.given(CHUNKS, strategies.integers(split.LIMIT_MIN, 300))
@hypothesis.settings(max_examples=60, deadline=None)
def test_every_cut_is_between_graphemes_and_every_fence_is_paired(text: str, limit: int) -> None:
    pieces = split.split(text, limit)
    position = 0
    for piece in pieces[:-1]:
        position += len(piece.body)
        assert graphemes.border(text, position)
    if len(split.FENCE.sub("", text).split("```")) == 1:  # all fences of the text itself are paired
        for piece in pieces:
            assert piece.text.count("```") % 2 == 0


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_paragraph_is_preferred_then_a_line_a_sentence_a_word(count: int) -> None:
    filler = "Some words. And\nmore of them! "
    first = (filler * 5)[:120].rstrip() + "\n\n" * count
    (one, two) = split.split(first + "x" * 60, 150)
    assert (one.body, two.body) == (first, "x" * 60)
    assert split.split("a b. c " * 10 + "d\n" + "e" * 40, 100)[0].body.endswith("d\n")
    assert split.split("a b c " * 10 + "d. " + "e" * 70, 100)[0].body.endswith("d. ")
    assert split.split("a " * 30 + "b" * 70, 100)[0].body == "a " * 30


def test_a_torn_code_block_is_closed_and_reopened_with_its_language() -> None:
    code = "".join(f"line {number}\n" for number in range(30))
    pieces = split.split(f"See:\n```python\n{code}```\nDone.", 120)
    assert len(pieces) > 2
    assert all(re.fullmatch(r"```python\n(line \d+\n)+```", piece.text) for piece in pieces[1:-1])
    assert pieces[0].text.startswith("See:\n```python\nline 0\n")
    assert pieces[-1].text.endswith("```\nDone.")


def test_a_code_block_that_fits_into_the_next_piece_is_not_torn() -> None:
    block = "```\n" + "run\n" * 15 + "```"
    assert [piece.text for piece in split.split("x" * 70 + block, 100)] == ["x" * 70, block]


def test_a_fence_that_is_never_closed_is_left_alone() -> None:
    text = "``` " + "word " * 60
    assert all(not piece.opening and not piece.closing for piece in split.split(text, 100))


def test_short_and_empty_texts() -> None:
    assert split.split("") == ()
    assert [piece.text for piece in split.split("Hehehe.")] == ["Hehehe."]
    assert [len(piece.text) for piece in split.split("a" * 4001)] == [2000, 2000, 1]
    with pytest.raises(ValueError, match="too small"):
        split.split("a", 10)


@pytest.mark.parametrize("cluster", ["👩‍👩‍👧‍👦", "🇩🇪", "é", "👍🏽", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "각", "☝️", "\r\n"])
def test_no_grapheme_is_torn(cluster: str) -> None:
    pieces = split.split(cluster * 100, 100)
    assert all(not set(piece.body) - set(cluster) and len(piece.body) % len(cluster) == 0 for piece in pieces)
    assert not any(graphemes.border(cluster, at) for at in range(1, len(cluster)))


def test_a_tower_of_accents_is_torn_rather_than_never_sent() -> None:
    assert [len(piece.text) for piece in split.split("a" + "\u0301" * 250, 100)] == [100, 100, 51]
