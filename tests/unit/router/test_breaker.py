"""Circuit breakers: three failures in a row open one, a single probe closes it or not."""

from __future__ import annotations

import anyio
import hypothesis
import pytest
from hypothesis import strategies

from svc.bus import errors
from svc.router import breaker

pytestmark = pytest.mark.anyio


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def opened(clock: Clock) -> breaker.Breaker:
    made = breaker.Breaker(clock)
    for _ in range(breaker.THRESHOLD):
        assert made.enter()
        made.failed("no answer")
    return made


def test_it_opens_at_the_third_failure_in_a_row() -> None:
    made = breaker.Breaker(Clock())
    for _ in range(2):
        made.failed("no answer")
    made.passed()
    for _ in range(2):
        made.failed("no answer")
    assert made.state == "closed"
    made.failed("no answer")
    assert (made.state, made.enter(), made.trips) == ("open", False, 1)


def test_half_open_lets_one_probe_through_and_closes_when_it_goes_well() -> None:
    clock = Clock()
    made = opened(clock)
    clock.now += 0.5
    assert made.state == "half-open"
    assert [made.enter(), made.enter()] == [True, False]
    made.passed()
    assert (made.state, made.enter(), made.enter()) == ("closed", True, True)


def test_a_failed_probe_opens_it_for_longer_up_to_five_seconds() -> None:
    clock = Clock()
    made = opened(clock)
    pauses = []
    for _ in range(9):
        began = clock.now
        while not made.enter():
            clock.now += 0.05
        pauses.append(clock.now - began)
        made.failed("still no answer")
    assert pauses[:3] == pytest.approx([0.5, 0.75, 1.125], abs=0.06)
    assert pauses[-1] == pytest.approx(5.0, abs=0.06)


def test_a_cancelled_probe_lets_the_next_one_try() -> None:
    clock = Clock()
    made = opened(clock)
    clock.now += 0.5
    assert made.enter()
    made.left()
    assert made.enter()


def test_failures_of_calls_that_were_under_way_dont_count_twice() -> None:
    clock = Clock()
    made = opened(clock)
    made.failed("late")
    made.failed("late")
    clock.now += 0.5
    assert (made.state, made.trips) == ("half-open", 1)


@pytest.mark.parametrize(
    ("error", "counted"),
    [
        (errors.NoReply("x"), True),
        (errors.Overloaded("x"), False),
        (errors.NotAccepted("the broker is away"), False),
        (errors.Refused("buried"), True),
        (errors.Refused("engine_unreachable"), True),
        (errors.Refused("unknown_character"), False),
        (errors.Refused("bad_prompt"), False),
    ],
    ids=str,
)
def test_which_failures_count(error: errors.BusError, counted: bool) -> None:
    assert breaker.counts(error) is counted


async def test_who_waits_gets_in_when_it_may_be_tried_again() -> None:
    made = breaker.Breaker()
    for _ in range(breaker.THRESHOLD):
        made.failed("no answer")
    assert not await made.wait(0.05)
    with anyio.fail_after(5):
        assert await made.wait(3.0)


def test_what_is_shown() -> None:
    all_ = breaker.Breakers()
    assert all_["quality"].enter()
    for _ in range(breaker.THRESHOLD):
        all_["retriever"].failed("no reply within 4.0 s")
    assert all_.reasons() == ("the breaker of retriever is open: no reply within 4.0 s",)
    assert all_.gauges() == {
        'router_breaker_state{service="quality"}': 0.0,
        'router_breaker_state{service="retriever"}': 2.0,
    }
    assert all_.counters()['router_breaker_trips_total{service="retriever"}'] == 1.0


@hypothesis.given(
    strategies.lists(
        strategies.tuples(strategies.sampled_from(["pass", "fail", "leave"]), strategies.floats(0.0, 6.0)),
        max_size=40,
    )
)
def test_it_never_locks_anybody_out_for_longer_than_its_longest_pause(
    story: list[tuple[str, float]],
) -> None:
    clock = Clock()
    made = breaker.Breaker(clock)
    for end, pause in story:
        if made.enter():
            {"pass": made.passed, "fail": lambda: made.failed("x"), "leave": made.left}[end]()
        clock.now += pause
    clock.now += breaker.POLICY.max_delay_s
    assert made.enter()
