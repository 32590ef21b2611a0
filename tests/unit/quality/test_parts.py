"""The parts where a rule can be stated without the whole gate."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from svc import embedding
from svc.quality import claims, engagement, hallucination, language, text, troupe, voices
from svc.quality.case import Meaning
from svc.wire import retriever
from tests.unit.quality.conftest import request, scene

NOTHING = np.zeros((0, 384), dtype=np.float32)
NO_MEANING = Meaning(
    np.zeros(384, dtype=np.float32), np.zeros(384, dtype=np.float32), NOTHING, NOTHING, NOTHING
)


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        ("It opened in 1984 with 73% of the vote.", ["1984", "73%"]),
        ("Two beers and 9 out of 10 guys.", []),
        ("So Albert Einstein walks into a bar.", ["Albert Einstein"]),
        ("Beer is great. Wine is not.", []),
        ("On Monday my God was it hot.", []),
    ],
)
def test_claims(said: str, wanted: list[str]) -> None:
    assert [claim.said for claim in claims.of(said)] == wanted


def test_a_claim_costs_unless_it_is_known(cast: troupe.Troupe) -> None:
    said = "The brewery was founded in 1893 by Harold Finch."
    asked = request(said, "Who founded the brewery?", "brian")
    unknown = hallucination.judge(scene(cast, asked), NO_MEANING)
    passage = retriever.Passage(id="p", text="Harold Finch founded the brewery in 1893.")
    informed = type(asked)(character="brian", replies=asked.replies, user=asked.user, passages=(passage,))
    known = hallucination.judge(scene(cast, informed), NO_MEANING)
    assert known.points == 100.0
    assert unknown.points < 75.0
    assert any("1893" in reason for reason in unknown.found)


def test_doubt_is_worth_something_and_certainty_costs(cast: troupe.Troupe) -> None:
    claim = "the tower was built in 1893"
    points = [
        hallucination.judge(scene(cast, request(said, character="brian")), NO_MEANING).points
        for said in (f"Officially, {claim}.", f"Well, {claim}.", f"Perhaps {claim}.")
    ]
    assert points == sorted(points)
    assert len(set(points)) == 3


def test_length_and_form(cast: troupe.Troupe) -> None:
    def points(reply: str) -> float:
        return engagement.judge(scene(cast, request(reply)), NO_MEANING).points

    good = points("I had three breakfasts, and nobody even tried to stop me.")
    assert points("Ok.") < good
    assert points("word " * 150) < good
    assert points("- beer\n- wings\n- more beer and then some wings again") < good
    assert points("I had three breakfasts, and nobody even tried to stop me. You?") > good


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("I really don't know what you want from me.", "en"),
        ("Ich weiß nicht, was du von mir willst.", "de"),
        ("No sé qué es lo que quieres de mí, pero me gusta.", "es"),
        ("C'est la vie.", ""),
        ("Привет, как дела?", "cyrillic"),
        ("", ""),
    ],
)
def test_language(said: str, code: str) -> None:
    assert language.guess(text.plain(said)) == code


def test_stems_meet() -> None:
    assert text.stem("brewing") == text.stem("brewed") == text.stem("brews")
    assert text.stem("king") == "king"


@given(st.lists(st.sampled_from("abc"), max_size=12), st.lists(st.sampled_from("abc"), max_size=12))
def test_shared_run(left: list[str], right: list[str]) -> None:
    run = text.shared_run(left, right)
    assert run == text.shared_run(right, left)
    assert run <= min(len(left), len(right))
    assert text.shared_run(left, left) == len(left)


def test_voices_are_learned_and_honest(cast: troupe.Troupe, embedder: embedding.Embedder) -> None:
    """Held-out accuracy is far above chance; shuffled labels can't be learned, which the figure admits."""
    lines = [(line, pack.id) for pack in cast.packs.values() for line in pack.lines]
    meanings = embedder.embed([line for line, _ in lines])
    names = [name for _, name in lines]
    assert voices.train([line for line, _ in lines], names, meanings).heldout > 0.65
    shuffled = [names[index] for index in np.random.default_rng(7).permutation(len(names))]
    assert voices.train([line for line, _ in lines], shuffled, meanings).heldout < 0.5
