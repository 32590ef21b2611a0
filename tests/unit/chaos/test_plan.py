"""The plan of a run: the same seed, the same plan, and everything that was asked for is in it."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svc.bridge import console
from svc.bus import subjects
from svc.chaos import plan, stage

CAST = ("peter", "brian", "stewie")
PARTS = sorted(stage.PARTS)


def make(
    seed: int = 1, *, turns: int = 300, strikes: int = 40, how: plan.How = "kill", cut: bool = False
) -> plan.Plan:
    return plan.make(seed, turns=turns, strikes=strikes, how=how, cut=cut, parts=PARTS, cast=CAST)


def test_a_seed_is_a_plan_whatever_order_things_are_named_in() -> None:
    backwards = plan.make(1, turns=300, strikes=40, how="kill", cut=False, parts=PARTS[::-1], cast=CAST[::-1])
    assert make() == make() == backwards
    assert make(2) != make(1)


def test_what_is_done_to_parts_does_not_change_what_people_say() -> None:
    assert make().messages == make(strikes=0).messages == make(how="hang", cut=True).messages


@given(st.integers(0, 1000), st.integers(1, 400), st.integers(0, 60))
def test_every_turn_and_every_strike_is_in_it(seed: int, turns: int, strikes: int) -> None:
    made = make(seed, turns=turns, strikes=strikes)
    assert sum(len(message.to) for message in made.messages) == turns
    assert [message.number for message in made.messages] == list(range(len(made.messages)))
    assert len({message.native for message in made.messages}) == len(made.messages)
    for message in made.messages:
        assert 1 <= len(set(message.to)) == len(message.to)
        assert set(message.to) <= set(CAST)
        assert console.channel_id(message.channel)
        assert subjects.TOKEN.fullmatch(message.native)
    assert len(made.strikes) == strikes
    assert [strike.after for strike in made.strikes] == sorted(strike.after for strike in made.strikes)
    for strike in made.strikes:
        assert 0 <= strike.after < len(made.messages)
        assert 0 <= strike.pause_s <= plan.PAUSE_S_MAX
    counts = Counter(strike.part for strike in made.strikes)
    assert max(counts.values(), default=0) - min((counts[part] for part in PARTS), default=0) <= 1


def test_strikes_are_spread_over_the_whole_run() -> None:
    made = make(turns=900)
    half = len(made.messages) / 2
    assert 15 <= sum(strike.after < half for strike in made.strikes) <= 25


@pytest.mark.parametrize("strikes", [0, 9])
def test_a_power_cut_comes_on_top_in_the_middle(strikes: int) -> None:
    made = make(strikes=strikes, cut=True)
    (cut,) = [strike for strike in made.strikes if strike.how == "cut"]
    assert cut.part == "nats"
    assert cut.after == len(made.messages) // 2
    assert len(made.strikes) == strikes + 1


def test_nothing_is_said_twice_before_everything_was() -> None:
    texts = [message.text for message in make(turns=300).messages]
    topics = [text.split()[3] for text in texts]
    assert len(set(topics)) == len(topics) < len(plan.TOPICS)
    assert len(set(plan.TOPICS)) == len(plan.TOPICS)


def test_a_channel_fits_into_one_page_of_history() -> None:
    lines = Counter[str]()
    for message in make(turns=900).messages:
        lines[message.channel] += 1 + len(message.to)
    assert max(lines.values()) <= 100
    assert len(make(turns=5_000).channels) <= plan.CHANNELS_MAX
