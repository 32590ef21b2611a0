"""Retry is a pure decision: the document's table, and its bounds for every policy."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svc import retry

TURN = retry.RETRY_CONFIG["DISCORD_MESSAGE"]
CALL = retry.RETRY_CONFIG["SERVICE_CALL"]
AMPLE_S = 1e9
SECONDS = st.floats(0.0, 1e4)


@st.composite
def policies(draw: st.DrawFn, *, jitter: bool | None = None) -> retry.Policy:
    return retry.Policy(
        max_attempts=draw(st.integers(1, 20)),
        base_delay_s=draw(st.floats(0.001, 60)),
        exponential_base=draw(st.floats(1.0, 4.0)),
        max_delay_s=draw(st.floats(0.001, 300)),
        jitter=draw(st.booleans()) if jitter is None else jitter,
    )


def steady(policy: retry.Policy) -> retry.Policy:
    """The same without jitter."""
    return retry.Policy(
        policy.max_attempts, policy.base_delay_s, policy.exponential_base, policy.max_delay_s, jitter=False
    )


def delays(policy: retry.Policy) -> list[float | None]:
    return [
        retry.decide(policy, attempt, left_s=AMPLE_S, needed_s=0.0)
        for attempt in range(1, policy.max_attempts + 1)
    ]


def test_a_whole_turn_waits_as_the_document_says() -> None:
    assert delays(steady(TURN)) == [1, 2, 4, 8, 16, 30, 30, 30, 30, None]


def test_a_service_call_waits_as_the_document_says() -> None:
    assert delays(CALL) == [0.5, 0.75, None]


def test_the_documents_configuration() -> None:
    assert retry.Policy(10, 1.0, 2.0, 30.0, jitter=True) == TURN
    assert retry.Policy(3, 0.5, 1.5, 5.0, jitter=False) == CALL


@given(policies(), st.integers(0, 50), SECONDS, st.text(max_size=5))
def test_never_beyond_the_last_attempt(policy: retry.Policy, beyond: int, left: float, seed: str) -> None:
    attempt = policy.max_attempts + beyond
    assert retry.decide(policy, attempt, left_s=left, needed_s=0.0, seed=seed) is None


@given(policies(), st.integers(1, 20), st.floats(-10, 1e4), SECONDS, st.text(max_size=5))
def test_never_longer_than_allowed_and_never_into_the_time_needed(
    policy: retry.Policy, attempt: int, left: float, needed: float, seed: str
) -> None:
    delay = retry.decide(policy, attempt, left_s=left, needed_s=needed, seed=seed)
    if delay is None:
        assert attempt >= policy.max_attempts or left <= needed
    else:
        assert 0 < delay <= policy.max_delay_s
        assert delay <= left - needed


@given(policies(jitter=False))
def test_without_jitter_delays_never_shrink(policy: retry.Policy) -> None:
    waits = [delay for delay in delays(policy) if delay is not None]
    assert waits == sorted(waits)
    assert len(waits) == policy.max_attempts - 1


@given(policies(jitter=True), st.integers(1, 19), st.text(max_size=8))
def test_jitter_takes_off_at_most_half_and_comes_from_the_seed_alone(
    policy: retry.Policy, attempt: int, seed: str
) -> None:
    full = retry.decide(steady(policy), attempt, left_s=AMPLE_S, needed_s=0.0)
    drawn = retry.decide(policy, attempt, left_s=AMPLE_S, needed_s=0.0, seed=seed)
    assert drawn == retry.decide(policy, attempt, left_s=AMPLE_S, needed_s=0.0, seed=seed)
    if full is None:
        assert drawn is None
    else:
        assert drawn is not None
        assert full / 2 <= drawn <= full


def test_turns_that_fail_together_do_not_come_back_together() -> None:
    drawn = {retry.decide(TURN, 3, left_s=AMPLE_S, needed_s=0.0, seed=f"turn{n}") for n in range(50)}
    assert len(drawn) == 50


def test_a_delay_that_only_just_does_not_fit_is_shortened() -> None:
    assert retry.decide(steady(TURN), 5, left_s=10.0, needed_s=1.0) == 9.0
    assert retry.decide(steady(TURN), 5, left_s=1.0, needed_s=1.0) is None


@pytest.mark.parametrize("attempt", range(1, 11))
def test_tiers(attempt: int) -> None:
    expected = {1: "standard", 2: "standard", 3: "standard", 4: "enhanced", 5: "enhanced", 6: "enhanced"}
    assert retry.tier(attempt) == expected.get(attempt, "aggressive")
