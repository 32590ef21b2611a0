"""What a turn does when somebody doesn't answer: named stand-ins, waiting, the busy line, the fence."""

from __future__ import annotations

import dataclasses

import anyio
import msgspec
import pytest

from svc import retry
from svc.bus import errors, limits, subjects
from svc.router import attempt, breaker, course, facts, turns
from svc.wire import base, envelope, quality, retriever, status, turn
from tests.unit.router import setup

pytestmark = pytest.mark.anyio

QUICK = retry.Policy(10, 0.001, 1.0, 0.001, jitter=False)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is waited for longer than a test should take."""
    monkeypatch.setattr(course, "POLICY", QUICK)
    monkeypatch.setattr(attempt, "AGAIN", QUICK)
    monkeypatch.setattr(facts, "FACT_S", 0.1)
    monkeypatch.setattr(attempt, "ASSESS_S", 0.1)
    monkeypatch.setattr(limits, "REPLY_GRACE_S", 0.02)


async def run(company: setup.Company, given: turn.Turn, runner: turns.Runner | None = None) -> turn.Ended:
    """One turn from its start to its outcome, with everybody at work."""
    async with company.at_work():
        await (runner or company.runner()).run(given, setup.a_job(company, given))
    return await company.outcome(given.id)


async def reply(company: setup.Company, service: str, method: str, n: int | str) -> envelope.Reply:
    stored = await company.bus.last(subjects.reply(service, method, "t1", n))
    assert stored is not None
    return base.decode(stored.data, envelope.Reply)


@pytest.mark.parametrize(
    ("absent", "method", "n", "path"),
    [("retriever", "search", 0, "no_knowledge"), ("tuning", "advise", 1, "base_advice")],
)
async def test_no_answer_is_a_stand_in_on_the_record(absent: str, method: str, n: int, path: str) -> None:
    company = setup.Company()
    company.absent = {absent}
    ended = await run(company, setup.a_turn())
    assert (ended.outcome, ended.degraded) == ("answered", (path,))
    recorded = await reply(company, absent, method, n)
    assert recorded.stand_in == path
    assert "no answer within" in recorded.reason
    (step,) = [one for one in (await company.bus.turn_record("t1")).steps if one.service == absent]
    assert (step.status, step.detail.partition(":")[0]) == ("degraded", path)


async def test_a_late_answer_changes_nothing() -> None:
    """The retriever comes back after the turn went on without it; a second router still sees the stand-in."""
    company = setup.Company()
    company.absent = {"retriever"}
    company.judge = anyio.Event()
    given = setup.a_turn()
    async with company.at_work():
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(company.runner().run, given, setup.a_job(company, given))
            await company.assessing.wait()
            tasks.cancel_scope.cancel()
        late = envelope.Reply(
            result=msgspec.Raw(base.encode(retriever.Passages(passages=(setup.BEER,), index="i")))
        )
        with pytest.raises(errors.AlreadyRecorded):
            subject = subjects.reply("retriever", "search", "t1")
            await company.bus.broker.append(subject, base.encode(late), {})
        company.judge.set()
        await company.runner().run(given, setup.a_job(company, given, deliveries=2))
    ended = await company.outcome("t1")
    assert (ended.degraded, ended.passages) == (("no_knowledge",), ())
    assert len(company.generations) == 1


async def test_an_answer_that_came_just_before_giving_up_counts() -> None:
    company = setup.Company()
    came = envelope.Reply(
        result=msgspec.Raw(base.encode(retriever.Passages(passages=(setup.BEER,), index="i")))
    )
    subject = subjects.reply("retriever", "search", "t1")
    await company.bus.publish(subject, came)
    settled = await company.bus.settle(subject, envelope.Reply(stand_in="no_knowledge"))
    assert settled.stand_in == ""
    assert settled.result == came.result


async def test_a_refusal_that_came_just_before_giving_up_is_not_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whoever stood still says late that it is too late, while the router takes the pack it remembers."""
    company = setup.Company()
    runner = company.runner()
    await run(company, setup.a_turn("t0", "One?"), runner)
    company.absent = {"characters"}
    settle = company.bus.settle
    refusal = envelope.Reply(refusal=envelope.Refusal(code="deadline_passed", message="too late"))

    async def too_late(subject: str, reply: envelope.Reply) -> envelope.Reply:
        await company.bus.publish(subjects.reply("characters", "prompt", "t1"), refusal)
        return await settle(subject, reply)

    monkeypatch.setattr(company.bus, "settle", too_late)
    ended = await run(company, setup.a_turn(), runner)
    assert (ended.outcome, ended.degraded) == ("answered", ("cached_pack",))
    assert (await reply(company, "characters", "prompt", 1)).stand_in == "cached_pack"


@pytest.mark.parametrize("how", ["absent", "silent"])
async def test_the_third_failure_opens_the_breaker_and_nobody_waits_any_more(
    how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(facts, "FACT_S", 1.0)
    company = setup.Company()
    setattr(company, how, {"retriever"})
    runner = company.runner()
    given = [setup.a_turn(f"t{number}", f"Beer {number}?") for number in range(breaker.THRESHOLD + 1)]
    async with company.at_work():
        async with anyio.create_task_group() as tasks:
            for one in given[:-1]:
                tasks.start_soon(runner.run, one, setup.a_job(company, one))
        assert runner.health().reasons[0].startswith("the breaker of retriever is open")
        assert runner.gauges()['router_breaker_state{service="retriever"}'] == 2.0
        await runner.run(given[-1], setup.a_job(company, given[-1]))
    last = await company.outcome(given[-1].id)
    assert last.degraded == ("no_knowledge",)
    (step,) = [one for one in (await company.bus.turn_record(last.turn)).steps if one.service == "retriever"]
    assert (step.status, "was left alone" in step.detail) == ("degraded", True)
    assert await company.bus.last(subjects.request("retriever", "search", last.turn, 0)) is None


@pytest.mark.parametrize(("how", "code"), [("absent", "no_reply"), ("silent", "deadline_passed")])
async def test_without_the_gate_the_turn_waits_and_asks_again_about_the_same_draft(
    how: str, code: str
) -> None:
    company = setup.Company()
    setattr(company, how, {"quality"})
    given = setup.a_turn()
    async with anyio.create_task_group() as tasks, company.at_work():
        tasks.start_soon(company.runner().run, given, setup.a_job(company, given))
        with anyio.fail_after(10):
            while await company.bus.last(subjects.reply("quality", "assess", "t1", "1-1")) is None:
                await anyio.sleep(0.01)
        company.silent.clear()
        company.absent.clear()
        async with company.at_work():
            while await company.bus.ended("t1") is None:
                await anyio.sleep(0.01)
    ended = await company.outcome("t1")
    assert (ended.outcome, len(ended.attempts), len(company.generations)) == ("answered", 1, 1)
    assert len({base.encode(one) for one in company.assessments}) == 1
    refused = (await reply(company, "quality", "assess", 1)).refusal
    assert isinstance(refused, envelope.Refusal)
    assert refused.code == code


async def test_without_the_gate_nothing_is_said_but_an_honest_line() -> None:
    company = setup.Company()
    company.silent = {"quality"}
    ended = await run(company, setup.a_turn(left_s=2.0))
    assert (ended.outcome, len(company.generations)) == ("notice", 1)
    assert ended.text in setup.FAILED
    assert ended.attempts[0].cause == "service"


async def test_a_gate_that_judges_something_else_is_not_believed() -> None:
    company = setup.Company()

    async def confused(request: quality.AssessRequest, _job: object) -> quality.Assessment:
        return quality.Assessment(verdicts=(), best=3)

    company.assess = confused  # type: ignore[method-assign]
    ended = await run(company, setup.a_turn())
    assert ended.outcome == "notice"
    assert "judged something else" in ended.attempts[0].reason


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A full queue is asked again at once."""
    monkeypatch.setattr(breaker, "POLICY", dataclasses.replace(QUICK, max_attempts=breaker.THRESHOLD))


async def full(company: setup.Company, times: int = 1_000) -> None:
    """Let the model's queue refuse that many requests."""
    append = company.bus.broker.append
    refused = 0

    async def refuse(subject: str, *args: object, **kwargs: object) -> int:
        nonlocal refused
        if subject.startswith("req.llm.") and refused < times:
            refused += 1
            raise errors.Overloaded(f"{subject}: the queue is full")
        return await append(subject, *args, **kwargs)  # type: ignore[arg-type]

    company.bus.broker.append = refuse  # type: ignore[method-assign]


@pytest.mark.usefixtures("impatient")
async def test_a_burst_that_passes_is_no_news() -> None:
    company = setup.Company()
    await full(company, times=2)
    assert (await run(company, setup.a_turn())).outcome == "answered"


@pytest.mark.usefixtures("impatient")
async def test_a_full_queue_is_said_in_character_once_a_minute_and_channel() -> None:
    company = setup.Company()
    await full(company)
    first, second = setup.a_turn("t1"), setup.a_turn("t2", "Still there?")
    elsewhere = setup.a_turn("t3", channel="console-other")
    ended = [await run(company, one, company.runner()) for one in (first, second, elsewhere)]
    assert [(one.outcome, one.text) for one in ended] == [
        ("notice", "Busy."),
        ("shed", ""),
        ("notice", "Busy."),
    ]
    assert "queue is full" in ended[0].reason
    assert [say.notice for say in await company.said("t1")] == [True]
    assert await company.said("t2") == []


@pytest.mark.usefixtures("impatient")
async def test_who_takes_over_a_busy_turn_says_the_same() -> None:
    company = setup.Company()
    await full(company)
    given = setup.a_turn("t1")
    async with company.at_work():
        runner = company.runner()
        append = company.bus.broker.append

        async def dies(subject: str, *args: object, **kwargs: object) -> int:
            if subject.startswith("evt.turn.ended"):
                raise errors.NotAccepted("killed")
            return await append(subject, *args, **kwargs)  # type: ignore[arg-type]

        company.bus.broker.append = dies  # type: ignore[method-assign]
        with pytest.raises(errors.NotAccepted):
            await runner.run(given, setup.a_job(company, given))
        company.bus.broker.append = append  # type: ignore[method-assign]
        await company.runner().run(given, setup.a_job(company, given, deliveries=2))
    assert (await company.outcome("t1")).text == "Busy."


@pytest.mark.usefixtures("impatient")
async def test_a_planned_turn_is_shed_without_a_word() -> None:
    company = setup.Company()
    await full(company)
    ended = await run(company, setup.a_turn(origin="organic"))
    assert (ended.outcome, ended.text) == ("shed", "")


async def test_a_planned_turn_that_finds_no_words_is_shed_after_three_attempts() -> None:
    company = setup.Company("Meh.")
    ended = await run(company, setup.a_turn(origin="organic"))
    assert (ended.outcome, ended.text, len(ended.attempts)) == ("shed", "", course.ORGANIC_ATTEMPTS)


async def test_planned_turns_are_shed_first_when_the_model_has_a_queue(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    company = setup.Company()

    async def queue(service: str) -> status.Queue:
        return status.Queue(waiting=7, working=5)

    monkeypatch.setattr(company.bus, "queue", queue)
    planned = await run(company, setup.a_turn("t1", origin="organic"))
    asked = await run(company, setup.a_turn("t2"))
    assert (planned.outcome, planned.reason) == ("shed", "7 requests wait for the model")
    assert asked.outcome == "answered"
    assert len(company.generations) == 1


@pytest.mark.parametrize(
    ("since", "later", "outcome", "generations"),
    [(5, None, "answered", 1), (6, None, "superseded", 0), (5, 6, "superseded", 1)],
    ids=["nobody spoke", "before it fired", "while it was written"],
)
async def test_a_person_who_speaks_supersedes_a_planned_turn(
    since: int, later: int | None, outcome: str, generations: int
) -> None:
    company = setup.Company()
    company.since, company.since_later = since, later
    ended = await run(company, setup.a_turn(origin="organic", since=5))
    assert (ended.outcome, len(company.generations)) == (outcome, generations)
    assert (await company.said("t1") == []) is (outcome == "superseded")


async def test_nobody_is_talked_over_when_the_floor_is_unknown() -> None:
    company = setup.Company()
    company.away = {"coordinator"}
    ended = await run(company, setup.a_turn(origin="organic"))
    assert (ended.outcome, company.generations) == ("shed", [])


async def test_the_broker_away_is_no_outcome() -> None:
    company, given = setup.Company(), setup.a_turn()

    async def gone(subject: str, *args: object, **kwargs: object) -> int:
        raise errors.NotAccepted("the broker is away")

    async with company.at_work():
        company.bus.broker.append = gone  # type: ignore[method-assign]
        with pytest.raises((errors.NotAccepted, ExceptionGroup)):
            await company.runner().run(given, setup.a_job(company, given))
    assert await company.bus.ended("t1") is None


async def test_last_words_are_an_honest_line_of_the_pack() -> None:
    company = setup.Company()
    runner = company.runner()
    first, broken = setup.a_turn("t1"), setup.a_turn("t2")
    await run(company, first, runner)
    await runner.given_up(broken, setup.a_job(company, broken), "PoisonError: it kills")
    ended = await company.outcome("t2")
    assert (ended.outcome, ended.reason) == ("notice", "PoisonError: it kills")
    assert ended.text in setup.FAILED
