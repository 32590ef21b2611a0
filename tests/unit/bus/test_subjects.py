"""Subjects: five clean tokens, and nothing else ever."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svc.bus import subjects

TOKENS = st.text("abcXYZ019_-", min_size=1, max_size=64)
WORDS = st.text(max_size=8)
SMALL = st.sampled_from(["a", "b", "c"])
PATTERNS = st.lists(st.sampled_from(["a", "b", "*", ">"]), min_size=1, max_size=6)

HOSTILE = (
    *("", " ", ".", "*", ">", "a.b", "a b", "a\n", "a\x00", "$JS", "ä", "п", "١", "a/b", "x" * 65),
    *("\ud800", "a\u200b", "{turn}", "_INBOX.1"),
)


def reference(pattern: list[str], subject: list[str]) -> bool:
    """What NATS documents: `*` is exactly one token, a last `>` is one or more."""
    if not pattern or not subject:
        return not pattern and not subject
    if pattern[0] == ">":
        return True
    return pattern[0] in ("*", subject[0]) and reference(pattern[1:], subject[1:])


@given(TOKENS, TOKENS, TOKENS, TOKENS, TOKENS)
def test_parse_gives_back_what_was_built(kind: str, a: str, b: str, turn: str, n: str) -> None:
    built = subjects.build(kind, a, b, turn, n)
    parsed = subjects.parse(built)
    assert parsed == subjects.Subject(kind, a, b, turn, n)
    assert str(parsed) == built
    assert subjects.matches(subjects.of_turn(turn), built)
    assert subjects.matches(subjects.of_turn(turn, kind), built)


@given(st.text())
def test_whatever_parses_is_five_clean_tokens_that_build_it_again(text: str) -> None:
    try:
        parsed = subjects.parse(text)
    except ValueError:
        return
    assert subjects.build(parsed.kind, parsed.a, parsed.b, parsed.turn, parsed.n) == text


@pytest.mark.parametrize("place", range(5))
@pytest.mark.parametrize("token", HOSTILE)
def test_a_hostile_token_is_refused_in_every_place(token: str, place: int) -> None:
    tokens = ["req", "llm", "generate", "t1", "1"]
    tokens[place] = token
    with pytest.raises(ValueError, match="can't be part of a subject"):
        subjects.build(tokens[0], tokens[1], tokens[2], tokens[3], tokens[4])
    with pytest.raises(ValueError, match="not a subject of ours"):
        subjects.parse(".".join(tokens))


@pytest.mark.parametrize("token", HOSTILE)
def test_a_hostile_turn_has_no_pattern(token: str) -> None:
    with pytest.raises(ValueError, match="not a turn id"):
        subjects.of_turn(token)


@given(PATTERNS, st.lists(SMALL, min_size=1, max_size=6))
def test_matches_agrees_with_the_reference(pattern: list[str], subject: list[str]) -> None:
    if ">" in pattern[:-1]:
        pattern = [token for token in pattern[:-1] if token != ">"] + pattern[-1:]
    assert subjects.matches(".".join(pattern), ".".join(subject)) == reference(pattern, subject)


@pytest.mark.parametrize(
    ("kind", "built"),
    [
        ("req", subjects.request),
        ("rep", subjects.reply),
        ("evt", subjects.event),
        ("turn", subjects.turn),
        ("later", subjects.later),
        ("say", subjects.say),
        ("tok", subjects.token),
        ("dead", subjects.dead),
    ],
)
def test_every_kind_has_its_builder(kind: str, built: Callable[..., str]) -> None:
    assert built("a", "b", "t", 3) == f"{kind}.a.b.t.3"
    assert built("a", "b", "t") == f"{kind}.a.b.t.0"


@given(st.lists(WORDS, max_size=4), st.lists(WORDS, max_size=4))
def test_a_hash_tells_parts_and_their_boundaries_apart(one: list[str], other: list[str]) -> None:
    assert (subjects.short_hash(*one) == subjects.short_hash(*other)) == (one == other)
    assert subjects.TOKEN.fullmatch(subjects.short_hash(*one))
    assert len(subjects.short_hash(*one)) == 13


def test_boundaries_count() -> None:
    splits = [("ab", "c"), ("a", "bc"), ("abc",), ("abc", ""), ("", "abc")]
    assert len({subjects.short_hash(*split) for split in splits}) == len(splits)


@given(WORDS, WORDS, WORDS, st.integers(0, 50), st.integers(0, 3), WORDS)
def test_a_turn_id_differs_for_any_changed_part(
    surface: str, native: str, character: str, revision: int, place: int, suffix: str
) -> None:
    parts = [surface, native, character]
    before = subjects.turn_id(surface, native, character, revision)
    assert before == subjects.turn_id(surface, native, character, revision)
    if place < 3:
        parts[place] += suffix + "!"
    after = subjects.turn_id(parts[0], parts[1], parts[2], revision + (place == 3))
    assert before != after
    assert before != subjects.message_id(surface, native)


def test_ids_of_a_whole_evening_are_all_different() -> None:
    natives = map(str, range(2_000))
    ids = {
        subjects.turn_id("discord", native, name, revision)
        for native, name, revision in itertools.product(natives, ("peter", "brian"), (0, 1))
    }
    assert len(ids) == 8_000
