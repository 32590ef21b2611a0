"""A turn put together from its messages."""

from __future__ import annotations

import itertools

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from svc.bus import api, history, subjects
from svc.wire import base, envelope, llm, message, quality, retriever, tuning, turn

TURN = "t1"
SEQUENCE = itertools.count(1)


def stored(subject: str, body: object, at: float) -> api.Message:
    return api.Message(subject, base.encode(body), {}, "LOG", next(SEQUENCE), at)


def asked(service: str, method: str, n: int, at: float, body: object = None) -> api.Message:
    return stored(subjects.build("log", service, method, TURN, n), body or {"asked": True}, at)


def answered(service: str, method: str, n: int, at: float, result: object) -> api.Message:
    reply = envelope.Reply(result=msgspec.Raw(base.encode(result)), ms=12.5, waited_ms=1.5)
    return stored(subjects.reply(service, method, TURN, n), reply, at)


def refused(service: str, method: str, n: int, at: float, code: str, text: str = "") -> api.Message:
    reply = envelope.Reply(refusal=envelope.Refusal(code=code, message=text))
    return stored(subjects.reply(service, method, TURN, n), reply, at)


def verdict(score: float, *, accepted: bool, reason: str = "") -> quality.Verdict:
    return quality.Verdict(accepted=accepted, score=score, threshold=60, reason=reason)


STARTED = stored(subjects.turn("user", "peter", TURN), {"id": TURN}, 100.0)
ENDED = turn.Ended(turn=TURN, outcome="answered", character="peter", surface="http", channel="c", text="Hi.")
POSTED = message.Posted(turn=TURN, piece=0, surface="http", channel="c", character="peter", text="Hi.")
WHOLE = [
    STARTED,
    asked("retriever", "search", 0, 100.001),
    asked("tuning", "advise", 1, 100.002),
    answered(
        "retriever",
        "search",
        0,
        100.010,
        retriever.Passages(passages=(retriever.Passage(id="1", text="…", title="Beer"),)),
    ),
    answered("tuning", "advise", 1, 100.011, tuning.Advice(arm="base")),
    asked("llm", "generate", 1, 100.020),
    answered(
        "llm",
        "generate",
        1,
        100.520,
        llm.Generation(candidates=(llm.Candidate(text="Hi."),), model="small", prompt_tokens=321),
    ),
    asked("quality", "assess", 1, 100.530),
    answered(
        "quality",
        "assess",
        1,
        100.540,
        quality.Assessment(
            verdicts=(verdict(41.24, accepted=False, reason="flat"), verdict(72.5, accepted=True)), best=1
        ),
    ),
    stored(subjects.event("turn", "ended", TURN), ENDED, 100.550),
    stored(subjects.say("http", "peter", TURN), {"text": "Hi."}, 100.551),
    stored(subjects.event("message", "posted", TURN, 0), POSTED, 100.560),
    stored(subjects.event("message", "posted", TURN, 1), POSTED, 100.570),
]


def test_nothing_stored_is_not_found() -> None:
    record = history.assemble(TURN, [])
    assert (record.turn, record.found, record.steps, record.ended) == (TURN, False, (), None)


def test_a_whole_turn() -> None:
    record = history.assemble(TURN, WHOLE)
    assert record.found
    assert record.ended == ENDED
    assert record.posted == 2
    assert record.total_ms == 550.0
    shown = [(step.service, step.n, step.start_ms, step.total_ms, step.detail) for step in record.steps]
    assert shown == [
        ("retriever", "0", 1.0, 9.0, "Beer"),
        ("tuning", "1", 2.0, 9.0, "arm base"),
        ("llm", "1", 20.0, 500.0, "1 drafts by small, prompt 321 tokens"),
        ("quality", "1", 530.0, 10.0, "passed 72.5 of 60"),
    ]
    assert {step.status for step in record.steps} == {"done"}
    assert {(step.waited_ms, step.ms) for step in record.steps} == {(1.5, 12.5)}
    assert bytes(record.steps[0].request) == b'{"asked":true}'


@given(st.permutations(WHOLE))
def test_the_order_of_messages_does_not_matter(shuffled: list[api.Message]) -> None:
    assert history.assemble(TURN, shuffled) == history.assemble(TURN, WHOLE)


def test_a_turn_that_runs_shows_what_it_waits_for() -> None:
    record = history.assemble(TURN, [STARTED, asked("llm", "generate", 1, 100.5)])
    (step,) = record.steps
    assert (step.status, step.detail, step.total_ms) == ("running", "no reply recorded", 0.0)
    assert bytes(step.reply) == b"null"
    assert record.ended is None
    assert record.total_ms == 500.0


def test_a_refusal_shows_its_code() -> None:
    messages = [
        STARTED,
        asked("llm", "generate", 1, 100.1),
        refused("llm", "generate", 1, 100.2, "engine_unreachable", "start it"),
        asked("quality", "assess", 1, 100.3),
        refused("quality", "assess", 1, 100.4, "buried"),
    ]
    steps = history.assemble(TURN, messages).steps
    assert [step.status for step in steps] == ["refused", "refused"]
    assert [step.detail for step in steps] == ["engine_unreachable: start it", "buried"]


def test_a_reply_without_its_request_is_a_step_too() -> None:
    """LOG is not synced: a broker that died may have lost the request."""
    reply = answered("tuning", "advise", 2, 100.3, tuning.Advice(arm="b", cached=True))
    (step,) = history.assemble(TURN, [STARTED, reply]).steps
    assert (step.start_ms, step.total_ms, step.detail) == (300.0, 0.0, "arm b (cached)")
    assert bytes(step.request) == b"null"


def test_attempts_are_kept_apart() -> None:
    messages = [STARTED, *(asked("llm", "generate", n, 100.0 + n) for n in (2, 10, 1))]
    assert [step.n for step in history.assemble(TURN, messages).steps] == ["1", "2", "10"]


def test_work_outside_a_turn_is_counted_from_its_first_message() -> None:
    messages = [asked("crawler", "crawl", 0, 50.0), answered("crawler", "crawl", 0, 50.25, {"job": "x"})]
    record = history.assemble(TURN, messages)
    assert (record.steps[0].start_ms, record.steps[0].detail, record.total_ms) == (0.0, "", 250.0)


def test_a_plan_starts_the_clock() -> None:
    plan = stored(subjects.later("organic", "peter", TURN), {}, 90.0)
    fired = stored(subjects.turn("organic", "peter", TURN), {}, 94.0)
    record = history.assemble(TURN, [plan, fired, asked("llm", "banter", 1, 95.0)])
    assert record.steps[0].start_ms == 5_000.0


@pytest.mark.parametrize(
    ("method", "result", "detail"),
    [
        ("search", retriever.Passages(), "nothing relevant"),
        ("search", retriever.Passages(passages=(), cached=True), "nothing relevant (cached)"),
        ("assess", quality.Assessment(verdicts=()), ""),
        (
            "assess",
            quality.Assessment(verdicts=(verdict(20.0, accepted=False, reason="flat"),)),
            "refused 20.0 of 60: flat",
        ),
        ("banter", llm.Generation(candidates=(), model="m"), "0 drafts by m, prompt ? tokens"),
        ("prompt", {"character": "peter"}, ""),
    ],
)
def test_details(method: str, result: object, detail: str) -> None:
    reply = answered("any", method, 1, 100.1, result)
    assert history.assemble(TURN, [STARTED, reply]).steps[0].detail == detail


def test_no_text_of_a_user_is_a_template() -> None:
    found = retriever.Passages(passages=(retriever.Passage(id="1", text="", title="{0} %s {x}"),))
    reply = answered("retriever", "search", 0, 100.1, found)
    assert history.assemble(TURN, [STARTED, reply]).steps[0].detail == "{0} %s {x}"
