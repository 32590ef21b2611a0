"""The table of limits hangs together: whoever waits, waits longer than what it waits for."""

from __future__ import annotations

import pytest

from svc.bus import limits, pin
from svc.router import attempt, facts, fence, settings
from svc.stack import part


@pytest.mark.parametrize(
    ("outer", "inner"),
    [
        # A message, its turn, the calls of the turn, each with the grace in which a refusal arrives.
        (limits.ORCHESTRATE_S, limits.TURN_S + 2 * limits.REPLY_GRACE_S),
        (limits.HANDLE_S, limits.TURN_S + 2 * limits.REPLY_GRACE_S),
        (limits.TURN_S, attempt.ASSESS_S + limits.REPLY_GRACE_S),
        (limits.ORGANIC_S, facts.FACT_S + 2 * fence.FLOOR_S + attempt.ASSESS_S),
        (limits.WORK_AGE_S, limits.HANDLE_S),
        (limits.RECORD_AGE_S, limits.TURN_AGE_S + limits.SAY_AGE_S),
        (limits.DEAD_AGE_S, limits.RECORD_AGE_S),
        # One router's turns all fit into the model's queue: a model that restarts costs no answers.
        (limits.MODEL_WAITING_MAX, settings.Settings().router_slots + limits.MODEL_SLOTS),
        # Leases: renewed several times before they run out; taken over well within what a person waits.
        (limits.ACK_WAIT_S, 3 * limits.HEARTBEAT_S),
        (limits.MODEL_ACK_WAIT_S, 3 * limits.HEARTBEAT_S),
        (limits.TURN_S, limits.STALL_S + limits.ACK_WAIT_S),
        (limits.PIN_S, limits.PINNED_PULL_S + pin.ANSWER_S),
        # Storing outlasts a broker's restart, and a stop is given the time that handlers get.
        (limits.APPEND_S, limits.APPEND_TRY_S),
        (part.SERVICE_GRACE_S, limits.STOP_S),
    ],
)
def test_the_outer_wait_is_the_longer_one(outer: float, inner: float) -> None:
    assert outer > inner
