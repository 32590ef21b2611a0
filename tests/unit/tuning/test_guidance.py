"""What the model is told after a refusal."""

from __future__ import annotations

from typing import get_args, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svc.quality import stops
from svc.tuning import guidance
from svc.wire import quality, tuning

COMPONENTS = get_args(get_type_hints(quality.Component)["name"])
STOPS = {name for name, _ in (*stops.TEXT, *stops.MEANING)}
CAUSES = st.lists(st.sampled_from([*guidance.GUIDANCE, "service", "total", "{braces}"]), max_size=9)


def failed(*causes: str) -> tuple[tuning.Failure, ...]:
    return tuple(tuning.Failure(attempt=n, component=cause) for n, cause in enumerate(causes, 1))


@pytest.mark.parametrize("attempt", [1, 2, 3])
def test_a_fresh_draft_is_often_enough(attempt: int) -> None:
    assert guidance.guidance(attempt, failed("echo", "flow")) == ()


@pytest.mark.parametrize("attempt", [4, 5, 6])
def test_then_a_sentence_for_each_cause_the_latest_first(attempt: int) -> None:
    assert guidance.guidance(attempt, failed("echo", "flow", "echo")) == (
        guidance.GUIDANCE["echo"],
        guidance.GUIDANCE["flow"],
    )


@pytest.mark.parametrize("attempt", [7, 8, 9, 10])
def test_in_the_end_a_firm_one_goes_first(attempt: int) -> None:
    assert guidance.guidance(attempt, failed("flow")) == (guidance.FIRM, guidance.GUIDANCE["flow"])


@pytest.mark.parametrize("attempt", [4, 7])
@pytest.mark.parametrize("causes", [(), ("service",), ("unheard_of",)])
def test_without_a_known_cause_there_is_still_something_to_say(attempt: int, causes: tuple[str, ...]) -> None:
    assert guidance.guidance(attempt, failed(*causes)) == (guidance.FIRM,)


def test_everything_the_gate_refuses_for_has_a_sentence() -> None:
    assert STOPS | set(COMPONENTS) <= guidance.GUIDANCE.keys()
    floors = {name for name in guidance.GUIDANCE if name.endswith("_floor")}
    assert {name.removesuffix("_floor") for name in floors} <= set(COMPONENTS)
    assert guidance.GUIDANCE.keys() == STOPS | set(COMPONENTS) | floors


@given(st.integers(1, 10), CAUSES)
def test_never_too_many_never_twice_and_never_the_causes_own_words(attempt: int, causes: list[str]) -> None:
    sentences = guidance.guidance(attempt, failed(*causes))
    assert len(sentences) <= guidance.SENTENCES_MAX
    assert set(sentences) <= {*guidance.GUIDANCE.values(), guidance.FIRM}
    assert len(set(sentences)) == len(sentences)
    assert (sentences == ()) == (attempt <= 3)
    assert sentences == guidance.guidance(attempt, failed(*causes))
