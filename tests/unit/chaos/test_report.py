"""The figures of a run."""

from __future__ import annotations

import msgspec
import pytest

from svc.chaos import report

SOUND = report.Report(
    seed=1,
    mode="kill",
    turns=3,
    accepted=3,
    answered=3,
    lost=0,
    duplicated=0,
    strays=0,
    outcomes={"answered": 3},
    undecided=0,
    generations_per_attempt_max=1,
    generations=3,
    reloaded=1,
    kills=1,
    kills_by_part={"llm": 1},
    cut_bytes={},
    unsettled={},
    dead=0,
    seconds=1.0,
    latency_ms=report.latency([0.1]),
    broker_back_s=(),
    lost_turns=(),
    duplicated_turns=(),
)


def test_only_what_was_answered_exactly_once_is_sound() -> None:
    assert SOUND.is_sound


@pytest.mark.parametrize("what", ["lost", "duplicated", "strays", "undecided"])
def test_anything_else_is_not(what: str) -> None:
    assert not msgspec.structs.replace(SOUND, **{what: 1}).is_sound


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        ([], (0.0, 0.0, 0.0)),
        ([0.2], (200.0, 200.0, 200.0)),
        ([number / 100 for number in range(100, 0, -1)], (500.0, 950.0, 1000.0)),
        ([0.003, 0.001, 0.002], (2.0, 3.0, 3.0)),
    ],
)
def test_percentiles_are_waits_that_somebody_had(
    seconds: list[float], expected: tuple[float, float, float]
) -> None:
    found = report.latency(seconds)
    assert (found.p50, found.p95, found.max) == expected


def test_the_return_of_the_broker_is_timed_to_the_next_answer() -> None:
    assert report.returns([10.0, 20.0, 30.0], [9.0, 10.25, 10.5, 21.0]) == (0.25, 1.0)
    assert report.returns([], [1.0]) == ()
