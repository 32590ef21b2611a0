"""What an attempt does differently: something every time, and the same again in a replay."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svc import config, retry
from svc.characters import pack
from svc.router import settings, variation
from svc.wire import characters, tuning

OPTIONS = settings.Settings()
FALLBACKS = characters.Fallbacks(failed=("No.",), busy=("Busy.",), unknown=("Dunno.",))
ATTEMPTS = range(1, retry.RETRY_CONFIG["DISCORD_MESSAGE"].max_attempts + 1)
TEMPERATURES = st.none() | st.floats(0.0, 2.0)
SHIPPED = pack.load(config.shipped("characters"))


def a_prompt(openers: tuple[str, ...] = (), sampling: characters.Sampling | None = None) -> characters.Prompt:
    return characters.Prompt(
        character="peter",
        name="Peter",
        version="v",
        system="s",
        openers=openers,
        sampling=sampling or characters.Sampling(),
        fallbacks=FALLBACKS,
    )


def attempts(
    prompt: characters.Prompt, advice: tuning.Advice | None = None, turn: str = "t1"
) -> list[variation.Variation]:
    return [variation.vary(turn, n, prompt, advice or tuning.Advice(), OPTIONS) for n in ATTEMPTS]


def sent(made: variation.Variation) -> tuple[object, ...]:
    """All of it that reaches the model."""
    return made.opener, made.sampling, made.examples, made.lines, made.guidance


@pytest.mark.parametrize("name", SHIPPED)
def test_every_retry_of_the_cast_sends_something_else(name: str) -> None:
    character = SHIPPED[name]
    made = attempts(a_prompt(character.openers, character.sampling))
    for before, after in itertools.pairwise(made):
        assert sent(before) != sent(after)
        assert after.changed
    assert len({one.opener for one in made}) == min(len(made), len(character.openers))


@given(TEMPERATURES, st.integers(0, 4), st.none() | st.integers(1, 8), st.text(max_size=4))
def test_every_retry_of_any_pack_sends_something_else(
    temperature: float | None, openers: int, candidates: int | None, turn: str
) -> None:
    sampling = characters.Sampling(temperature=temperature, candidates=candidates)
    made = attempts(a_prompt(tuple(f"o{n}" for n in range(openers)), sampling), turn=turn)
    for before, after in itertools.pairwise(made):
        assert sent(before) != sent(after)


@given(TEMPERATURES, TEMPERATURES, st.text(max_size=6))
def test_the_same_turn_varies_the_same_way_again(
    packed: float | None, advised: float | None, turn: str
) -> None:
    prompt = a_prompt(("A", "B", "C", "D"), characters.Sampling(temperature=packed))
    advice = tuning.Advice(sampling=characters.Sampling(temperature=advised))
    assert attempts(prompt, advice, turn) == attempts(prompt, advice, turn)


@given(TEMPERATURES)
def test_a_shifted_temperature_stays_within_bounds(temperature: float | None) -> None:
    for made in attempts(a_prompt(sampling=characters.Sampling(temperature=temperature)))[1:]:
        shown = made.sampling.temperature
        if shown != temperature:
            assert shown is not None
            assert variation.TEMPERATURE_MIN <= shown <= variation.TEMPERATURE_MAX


def test_the_first_attempt_is_as_packed_and_advised() -> None:
    prompt = a_prompt(("A",), characters.Sampling(temperature=0.9, top_p=0.5))
    advice = tuning.Advice(sampling=characters.Sampling(top_p=0.8), guidance=("Be brief.",))
    made = attempts(prompt, advice)[0]
    assert made.sampling == characters.Sampling(temperature=0.9, top_p=0.8)
    assert (made.opener, made.guidance, made.changed) == ("A", ("Be brief.",), ("guidance (1)",))
    assert (made.examples, made.lines) == (OPTIONS.router_examples, OPTIONS.router_history)


def test_advice_overrides_the_pack_only_where_it_says_something() -> None:
    advice = tuning.Advice(sampling=characters.Sampling(temperature=0.0))
    made = attempts(a_prompt(sampling=characters.Sampling(temperature=0.9, seed=3)), advice)[0]
    assert made.sampling == characters.Sampling(temperature=0.0, seed=3)


def test_every_retry_says_what_it_changed() -> None:
    for number, made in enumerate(attempts(a_prompt(("A", "B"))), 1):
        assert ("fresh draft, caches bypassed" in made.changed) == (number > 1)
        assert any(made.opener in change for change in made.changed) == (number > 1)
        shifted = made.sampling.temperature
        assert (shifted is None) or f"temperature {shifted}" in made.changed


def test_enhanced_and_aggressive_tiers_shorten_what_led_astray() -> None:
    made = attempts(a_prompt(sampling=characters.Sampling(candidates=2)))
    assert [one.examples for one in made] == [4] * 3 + [3] * 7
    assert [one.lines for one in made] == [12] * 6 + [variation.AGGRESSIVE_HISTORY] * 4
    assert [one.sampling.candidates for one in made] == [2] * 6 + [4] * 4


def test_more_candidates_are_never_fewer_and_never_too_many() -> None:
    for candidates in range(1, 9):
        made = attempts(a_prompt(sampling=characters.Sampling(candidates=candidates)))[-1]
        assert made.sampling.candidates is not None
        assert candidates <= made.sampling.candidates <= max(candidates, variation.CANDIDATES_MAX)


def test_turns_start_with_different_openers() -> None:
    prompt = a_prompt(tuple("ABCDEFGH"))
    first = {attempts(prompt, turn=f"t{n}")[0].opener for n in range(100)}
    assert first == set("ABCDEFGH")


def test_no_openers_no_opener() -> None:
    assert {made.opener for made in attempts(a_prompt())} == {""}
