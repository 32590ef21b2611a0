"""Whole turns: attempts until one passes, exactly one outcome, nothing finished done twice."""

from __future__ import annotations

import anyio
import pytest

from svc import retry
from svc.bus import errors, limits, subjects
from svc.router import course, facts
from svc.wire import envelope, message, status
from tests.unit.router import setup

pytestmark = pytest.mark.anyio

ANSWERED = 'router_turns_total{outcome="answered"}'
QUICK = retry.Policy(10, 0.001, 1.0, 0.001, jitter=False)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(course, "POLICY", QUICK)


async def test_accepted_at_first() -> None:
    company, given = setup.Company(), setup.a_turn()
    runner = company.runner()
    async with company.at_work():
        await runner.run(given, setup.a_job(company, given))
    ended = await company.outcome("t1")
    assert (ended.outcome, ended.text, ended.degraded, ended.cached) == ("answered", "Beer!", (), False)
    assert (ended.model, ended.arm, ended.native, ended.message) == ("tiny", "base", "n-t1", "m-t1")
    assert ended.passages == (setup.BEER,)
    assert ended.verdict is not None
    assert ended.verdict.accepted
    (attempt,) = ended.attempts
    assert (attempt.n, attempt.tier, attempt.accepted, attempt.cause) == (1, "standard", True, "")
    assert (attempt.score, attempt.threshold) == (80.0, 60.0)
    assert ended.ms > 0
    (say,) = await company.said("t1")
    assert (say.text, say.reply_to, say.notice, say.channel) == ("Beer!", "n-t1", False, "console-main")
    assert say.expires_at == pytest.approx(ended.at + limits.SAY_AGE_S)
    counted = runner.counters()
    assert (counted[ANSWERED], counted["router_attempts_total"]) == (1.0, 1.0)
    assert runner.health() == status.Health()


async def test_everybody_is_asked_what_they_need_to_know() -> None:
    line = message.Utterance(id="m0", author=message.Author(id="2", name="Bob"), text="Hi {all}.")
    company, given = setup.Company(), setup.a_turn(text="Beer, {name}?", history=(line,) * 6)
    async with company.at_work():
        await company.runner().run(given, setup.a_job(company, given))
    (prompt,), (search,), (advise,) = company.prompts, company.searches, company.advices
    assert (prompt.character, prompt.topic) == ("peter", given.text)
    assert (search.text, search.limit, len(search.history)) == (given.text, 3, facts.HISTORY_LINES)
    assert (advise.attempt, advise.origin, advise.failures) == (1, "user", ())
    (generate,), (assess,) = company.generations, company.assessments
    assert (generate.opener, generate.stop, generate.fresh) == ("Holy crap,", ("\nBrian:",), False)
    assert generate.messages[-1].content == "Ann: Beer, {name}?"
    assert generate.stream
    assert (assess.user, assess.author, assess.kind, assess.heard) == (given.text, "Ann", "user", 6)
    assert assess.passages == (setup.BEER,)
    assert len(assess.history) == 6


async def test_accepted_at_third_with_failures_fed_back() -> None:
    company, given = setup.Company("Meh.", "Hm.", "Beer!"), setup.a_turn()
    async with company.at_work():
        await company.runner().run(given, setup.a_job(company, given))
    ended = await company.outcome("t1")
    assert (ended.outcome, ended.text) == ("answered", "Beer!")
    assert [(one.n, one.accepted, one.cause, one.text) for one in ended.attempts] == [
        (1, False, "engagement", "Meh."),
        (2, False, "engagement", "Hm."),
        (3, True, "", "Beer!"),
    ]
    assert [one.attempt for one in company.advices] == [1, 2, 3]
    assert [[failure.attempt for failure in one.failures] for one in company.advices] == [[], [1], [1, 2]]
    assert company.advices[2].failures[1].component == "engagement"
    assert company.advices[2].failures[1].reason == "'Hm.' is dull"
    assert [one.fresh for one in company.generations] == [False, True, True]
    assert [one.fresh for one in company.assessments] == [False, True, True]
    assert "not engagement" in company.generations[2].messages[-2].content


async def test_the_best_accepted_candidate_is_said_tidied_and_without_duplicates() -> None:
    company = setup.Company("Meh.||Peter: Beer!||Meh.|| Beer! \n\nBrian: no")
    given = setup.a_turn()
    async with company.at_work():
        await company.runner().run(given, setup.a_job(company, given))
    assert company.assessments[0].replies == ("Meh.", "Beer!")
    assert (await company.outcome("t1")).text == "Beer!"


async def test_all_refused_is_a_notice_with_a_line_of_the_pack() -> None:
    company, given = setup.Company("Meh."), setup.a_turn()
    async with company.at_work():
        await company.runner().run(given, setup.a_job(company, given))
    ended = await company.outcome("t1")
    assert ended.outcome == "notice"
    assert ended.text in setup.FAILED
    assert ended.verdict is None
    assert ended.reason == "no draft passed in 10 attempts; last: 'Meh.' is dull"
    assert [one.tier for one in ended.attempts] == ["standard"] * 3 + ["enhanced"] * 3 + ["aggressive"] * 4
    assert [one.notice for one in await company.said("t1")] == [True]
    assert company.redis.kept == {}


async def test_there_are_only_as_many_attempts_as_the_deadline_allows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(course, "POLICY", retry.Policy(10, 0.1, 1.0, 0.1, jitter=False))
    monkeypatch.setattr(course, "ATTEMPT_S", 0.1)
    company, given = setup.Company("Meh."), setup.a_turn(left_s=0.35)
    async with company.at_work():
        await company.runner().run(given, setup.a_job(company, given))
    ended = await company.outcome("t1")
    assert ended.outcome == "notice"
    assert 1 <= len(ended.attempts) <= 4
    assert len(company.generations) == len(ended.attempts)
    assert ended.at < given.expires_at + 1.0


@pytest.mark.parametrize(("away", "name"), [("retriever", "no_knowledge"), ("tuning", "base_advice")])
async def test_a_degraded_path_is_named_and_not_cached(away: str, name: str) -> None:
    company, given = setup.Company(), setup.a_turn()
    company.away = {away}
    async with company.at_work():
        await company.runner().run(given, setup.a_job(company, given))
    ended = await company.outcome("t1")
    assert (ended.outcome, ended.degraded) == ("answered", (name,))
    assert company.redis.kept == {}


async def test_without_characters_the_last_pack_known_is_used() -> None:
    company = setup.Company()
    runner = company.runner()
    first, second = setup.a_turn("t1", "One?"), setup.a_turn("t2", "Two?")
    async with company.at_work():
        await runner.run(first, setup.a_job(company, first))
        company.away = {"characters"}
        await runner.run(second, setup.a_job(company, second))
    assert (await company.outcome("t2")).degraded == ("cached_pack",)
    assert company.generations[1].messages[0].content == "You are Peter."


async def test_without_any_pack_the_turn_comes_back_later() -> None:
    company, given = setup.Company(), setup.a_turn()
    company.away = {"characters"}
    async with company.at_work():
        with pytest.raises(errors.Retry, match="how to speak as peter"):
            await company.runner().run(given, setup.a_job(company, given))
    assert await company.bus.ended("t1") is None


@pytest.mark.parametrize("away", ["llm", "quality"])
async def test_nothing_is_said_that_was_not_made_and_judged(away: str) -> None:
    company, given = setup.Company(), setup.a_turn()
    company.away = {away}
    async with company.at_work():
        await company.runner().run(given, setup.a_job(company, given))
    ended = await company.outcome("t1")
    assert (ended.outcome, ended.attempts[0].cause) == ("notice", "service")
    assert ended.attempts[0].reason == f"{away} is away"
    assert ended.text in setup.FAILED


async def test_the_same_question_again_is_answered_from_the_cache() -> None:
    company = setup.Company()
    runner = company.runner()
    first, second = setup.a_turn("t1"), setup.a_turn("t2", channel="console-other")
    async with company.at_work():
        await runner.run(first, setup.a_job(company, first))
        await runner.run(second, setup.a_job(company, second))
    again = await company.outcome("t2")
    assert (again.outcome, again.text, again.cached) == ("answered", "Beer!", True)
    assert (again.turn, again.channel, again.native, again.message) == ("t2", "console-other", "n-t2", "m-t2")
    assert len(company.generations) == len(company.assessments) == 1
    (say,) = await company.said("t2")
    assert (say.channel, say.reply_to) == ("console-other", "n-t2")


@pytest.mark.parametrize(
    "other",
    [
        {"text": "And your favorite food?"},
        {"history": (message.Utterance(id="m0", author=message.Author(id="2"), text="Hi."),)},
        {"origin": "organic"},
    ],
    ids=lambda other: next(iter(other)),
)
async def test_another_situation_is_not_answered_from_the_cache(other: dict[str, object]) -> None:
    """Organic turns have a stricter gate: what passed for a person's turn was not judged for them."""
    company = setup.Company()
    runner = company.runner()
    first = setup.a_turn("t1")
    second = setup.a_turn("t2", **other)  # type: ignore[arg-type]
    async with company.at_work():
        await runner.run(first, setup.a_job(company, first))
        await runner.run(second, setup.a_job(company, second))
    assert len(company.generations) == 2
    assert (await company.outcome("t2")).origin == second.origin


async def test_the_words_of_another_model_are_not_reused() -> None:
    company = setup.Company()
    runner = company.runner()
    turns_ = [setup.a_turn("t1"), setup.a_turn("t2", "Something else?"), setup.a_turn("t3")]
    async with company.at_work():
        for given in turns_:
            await runner.run(given, setup.a_job(company, given))
            company.model = "larger"
    assert not (await company.outcome("t3")).cached
    assert len(company.generations) == 3


async def test_an_organic_turn_is_banter_under_the_organic_threshold() -> None:
    company, given = setup.Company(), setup.a_turn(origin="organic")
    async with company.at_work():
        await company.runner().run(given, setup.a_job(company, given))
    assert company.assessments[0].kind == "organic"
    assert [step.method for step in (await company.bus.turn_record("t1")).steps if step.service == "llm"] == [
        "banter"
    ]
    assert (await company.outcome("t1")).origin == "organic"


async def test_an_expired_turn_asks_nobody_and_says_nothing() -> None:
    company, given = setup.Company(), setup.a_turn(left_s=-1.0)
    async with company.at_work():
        await company.runner().run(given, setup.a_job(company, given))
    ended = await company.outcome("t1")
    assert (ended.outcome, ended.text) == ("expired", "")
    assert company.prompts == []
    assert company.generations == []
    assert await company.said("t1") == []


async def test_run_twice_is_one_outcome_and_one_say() -> None:
    company, given = setup.Company("Beer!"), setup.a_turn()
    async with company.at_work():
        await company.runner().run(given, setup.a_job(company, given))
        before = await company.outcome("t1")
        await company.runner().run(given, setup.a_job(company, given, deliveries=2))
    assert await company.outcome("t1") == before
    assert len(await company.said("t1")) == 1
    assert len(company.generations) == 1


async def test_run_at_once_by_two_is_one_generation_one_outcome_and_one_say() -> None:
    company, given = setup.Company("Meh.", "Beer!"), setup.a_turn()
    runners = company.runner(), company.runner()
    async with company.at_work(), anyio.create_task_group() as tasks:
        for runner in runners:
            tasks.start_soon(runner.run, given, setup.a_job(company, given))
    assert len(await company.said("t1")) == 1
    assert len(company.generations) == 2
    counted = [runner.counters().get(ANSWERED, 0.0) for runner in runners]
    assert sum(counted) == 1.0


async def test_who_takes_over_in_the_middle_pays_for_no_second_generation() -> None:
    company, given = setup.Company("Beer!"), setup.a_turn()
    company.judge = anyio.Event()
    async with company.at_work():
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(company.runner().run, given, setup.a_job(company, given))
            with anyio.fail_after(5):
                await company.assessing.wait()
            tasks.cancel_scope.cancel()
        assert await company.bus.ended("t1") is None
        company.judge.set()
        await company.runner().run(given, setup.a_job(company, given, deliveries=2))
    assert (await company.outcome("t1")).text == "Beer!"
    assert len(company.generations) == len(company.assessments) == len(company.prompts) == 1


async def test_a_takeover_after_the_outcome_still_says_it() -> None:
    """The first router died between the record and the say."""
    company, given = setup.Company("Beer!"), setup.a_turn()
    async with company.at_work():
        await company.runner().run(given, setup.a_job(company, given))
    ended = await company.outcome("t1")
    other = setup.Company()
    await other.bus.publish(subjects.event("turn", "ended", "t1"), ended)
    await other.runner().run(given, setup.a_job(other, given, deliveries=2))
    assert [say.text for say in await other.said("t1")] == ["Beer!"]
    assert other.generations == []


async def test_a_takeover_does_not_wait_again_between_finished_attempts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    company, given = setup.Company("Meh.", "Hm.", "Beer!"), setup.a_turn()
    async with company.at_work():
        await company.runner().run(given, setup.a_job(company, given))
        record = await company.bus.recall("t1")
        other = setup.Company()
        for subject, data in record.items():
            await other.bus.broker.append(subject, data, {})
        monkeypatch.setattr(course, "POLICY", retry.Policy(10, 20.0, 1.0, 20.0, jitter=False))
        with anyio.fail_after(3):
            await other.runner().run(given, setup.a_job(other, given, deliveries=2))
    again, ended = await other.outcome("t1"), await company.outcome("t1")
    assert other.generations == []
    assert [one.text for one in again.attempts] == [one.text for one in ended.attempts]


async def test_a_recorded_refusal_is_a_failed_attempt_for_whoever_takes_over() -> None:
    company, given = setup.Company("Beer!", "Beer!"), setup.a_turn()
    refusal = envelope.Reply(refusal=envelope.Refusal(code="deadline_passed", message="too late"))
    await company.bus.publish(subjects.reply("llm", "generate", "t1", 1), refusal)
    async with company.at_work():
        await company.runner().run(given, setup.a_job(company, given, deliveries=2))
    ended = await company.outcome("t1")
    assert [(one.accepted, one.cause) for one in ended.attempts] == [(False, "service"), (True, "")]
    assert ended.attempts[0].reason == "too late"
    assert len(company.generations) == 1


async def test_a_prompt_refused_for_coming_late_is_asked_for_again() -> None:
    company, given = setup.Company(), setup.a_turn()
    refusal = envelope.Reply(refusal=envelope.Refusal(code="deadline_passed", message="too late"))
    await company.bus.publish(subjects.reply("characters", "prompt", "t1", 0), refusal)
    async with company.at_work():
        await company.runner().run(given, setup.a_job(company, given, deliveries=2))
    assert (await company.outcome("t1")).outcome == "answered"
    assert await company.bus.last(subjects.reply("characters", "prompt", "t1", 1)) is not None


async def test_without_a_cache_turns_go_on() -> None:
    company, given = setup.Company(), setup.a_turn()
    company.redis.error = ConnectionError("gone")
    async with company.at_work():
        await company.runner().run(given, setup.a_job(company, given))
    assert (await company.outcome("t1")).outcome == "answered"
