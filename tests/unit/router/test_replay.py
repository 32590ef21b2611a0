"""Replaying a turn: byte-identical on the record, and what differs is named."""

from __future__ import annotations

import dataclasses

import hypothesis
import msgspec
import pytest
from hypothesis import strategies

from svc import errors as svc_errors
from svc import retry
from svc.bus import api, errors, memory, subjects
from svc.router import attempt, course, facts, replay, rescore, settings, tape, variation
from svc.wire import base, characters, envelope, llm, quality, tuning
from tests.unit.router import setup

pytestmark = pytest.mark.anyio

QUICK = retry.Policy(10, 0.001, 1.0, 0.001, jitter=False)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(course, "POLICY", QUICK)
    monkeypatch.setattr(attempt, "AGAIN", QUICK)
    monkeypatch.setattr(facts, "FACT_S", 0.2)


async def recorded(
    company: setup.Company, *, origin: str = "user", turn_id: str = "t1", deliveries: int = 1
) -> tape.Tape:
    """A turn that came through the queue, as in life; read back from the record."""
    given = setup.a_turn(turn_id, origin=origin)  # type: ignore[arg-type]
    await company.bus.publish(subjects.turn(origin, "peter", turn_id), given)
    stored = await company.bus.last(subjects.turn(origin, "peter", turn_id))
    assert stored is not None
    job = setup.a_job(company, given, deliveries=deliveries)
    job.stored_at = stored.at
    async with company.at_work():
        await company.runner().run(given, job)
    return tape.read(turn_id, await company.bus.messages(turn_id))


def differences(done: replay.Replay) -> list[str]:
    return [f"{step.service}.{step.method}.{step.n}" for step in done.steps if not step.same]


@pytest.mark.parametrize(
    "company",
    [
        setup.Company(),
        setup.Company("Meh.", "Hm.", "Beer!"),
        setup.Company("Meh."),
        setup.Company(away={"retriever", "tuning"}),
        setup.Company(absent={"retriever"}),
        setup.Company(away={"llm"}),
    ],
    ids=["at once", "at the third", "never", "refused facts", "stand-ins", "no model"],
)
async def test_a_replay_comes_to_the_same_byte_for_byte(company: setup.Company) -> None:
    kept = await recorded(company)
    asked = len(company.generations) + len(company.assessments)
    done = await replay.run(kept, settings.Settings())
    assert done.stopped == ""
    assert differences(done) == []
    assert base.encode(done.now) == kept.recorded
    assert done.identical
    assert len(done.steps) >= 4
    assert len(company.generations) + len(company.assessments) == asked


async def test_a_store_time_that_the_record_tells_less_exactly_makes_no_difference() -> None:
    kept = await recorded(setup.Company())
    rounded = dataclasses.replace(kept, stored_at=kept.stored_at + 0.00005)
    assert (await replay.run(rounded, settings.Settings())).identical


async def test_a_planned_turn_replays_with_its_fence() -> None:
    done = await replay.run(await recorded(setup.Company(), origin="organic"), settings.Settings())
    assert done.identical
    assert [step.n for step in done.steps if step.method == "floor"] == ["0", "1"]


async def test_an_answer_from_the_reply_cache_replays() -> None:
    company = setup.Company()
    runner = company.runner()
    company.runner = lambda: runner  # type: ignore[method-assign]
    await recorded(company, turn_id="t1")
    kept = await recorded(company, turn_id="t2")
    assert kept.ended.cached
    assert (await replay.run(kept, settings.Settings())).identical


async def test_a_turn_taken_over_in_the_middle_replays() -> None:
    company = setup.Company("Meh.", "Beer!")
    first = await recorded(company)
    other = setup.Company()
    for subject, data in first.replies.items():
        await other.bus.broker.append(subject, data, {})
    kept = await recorded(other, deliveries=2)
    assert other.generations == []
    done = await replay.run(kept, settings.Settings())
    assert base.encode(done.now) == kept.recorded


async def test_another_rule_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody changes how the second attempt is made: that step differs, the first doesn't."""
    kept = await recorded(setup.Company("Meh.", "Beer!"))
    monkeypatch.setattr(variation, "WARMER", (0.0, 0.3, -0.25))
    done = await replay.run(kept, settings.Settings())
    assert not done.identical
    assert differences(done) == ["llm.generate.2"]
    (step,) = [step for step in done.steps if not step.same]
    before = msgspec.json.decode(step.before, type=llm.GenerateRequest)
    now = msgspec.json.decode(step.now, type=llm.GenerateRequest)
    assert (before.sampling.temperature, now.sampling.temperature) == (0.9, 1.1)


async def test_what_if_the_temperature_were_another() -> None:
    kept = await recorded(setup.Company())

    def colder(_request: bytes, advice: msgspec.Struct) -> msgspec.Struct:
        return msgspec.structs.replace(advice, sampling=characters.Sampling(temperature=0.4))

    done = await replay.run(kept, settings.Settings(), edits={("tuning", "advise"): (tuning.Advice, colder)})
    assert differences(done) == ["llm.generate.1"]
    assert done.stopped == ""


async def test_another_setting_is_a_difference_too() -> None:
    kept = await recorded(setup.Company())
    done = await replay.run(kept, settings.Settings(router_passages=1))
    assert differences(done) == ["retriever.search.0"]


async def test_where_the_record_ends_the_replay_says_what_to_do() -> None:
    """A gate that refuses now needs a second attempt, which nobody ever made."""
    company = setup.Company()
    kept = await recorded(company)
    company.good = ()
    async with company.at_work():
        done = await replay.run(kept, settings.Settings(), live=frozenset({"quality"}), bus=company.bus)
    assert done.now is None
    assert done.stopped == (
        "tuning.advise 2 was never asked in this turn: add tuning to --live to ask for real"
    )
    (judged,) = [step for step in done.steps if step.live]
    assert not msgspec.json.decode(judged.reply_now, type=quality.Assessment).verdicts[0].accepted
    assert msgspec.json.decode(judged.reply_before, type=quality.Assessment).verdicts[0].accepted


async def test_the_sandbox_leaves_nothing_behind_but_its_own_replies() -> None:
    company = setup.Company()
    kept = await recorded(company)
    before = await company.bus.messages("t1")
    company.drafts = ("Wine!",)
    company.good = ("Wine!",)
    streams = ("TURNS", "PLANS", "SAY")
    quiet = [await company.bus.broker.depth(stream) for stream in streams]
    live = frozenset(replay.LIVE)
    async with company.at_work():
        done = await replay.run(kept, settings.Settings(), live=live, bus=company.bus)
    assert done.now is not None
    assert (done.now.text, done.before.text) == ("Wine!", "Beer!")
    assert await company.bus.messages("t1") == before
    assert [await company.bus.broker.depth(stream) for stream in streams] == quiet
    assert company.generations[-1].fresh
    assert company.assessments[-1].fresh


async def test_a_turn_carried_in_a_file_replays_the_same() -> None:
    company = setup.Company("Meh.", "Beer!")
    await recorded(company)
    turn_id, messages = tape.load(tape.dump("t1", await company.bus.messages("t1")))
    done = await replay.run(tape.read(turn_id, messages), settings.Settings())
    assert (turn_id, done.identical) == ("t1", True)


@hypothesis.given(strategies.text(), strategies.dictionaries(strategies.text(), strategies.text()))
def test_bodies_come_out_of_the_file_as_they_went_in(text: str, headers: dict[str, str]) -> None:
    body = base.encode({"text": text})
    stored = api.Message("evt.message.heard.m.0", body, headers, "RECORD", 7, 1.5)
    turn_id, messages = tape.load(tape.dump("t1", [stored]))
    assert (turn_id, messages) == ("t1", [stored])


@pytest.mark.parametrize("data", [b"", b"hello", b'{"quahog_turn": 1}', b'{"quahog_turn": "t"}\n{}'])
def test_another_file_is_refused(data: bytes) -> None:
    with pytest.raises(svc_errors.ConfigError, match="no turn exported"):
        tape.load(data)


def test_a_file_of_the_future_says_so() -> None:
    with pytest.raises(svc_errors.ConfigError, match=r"format 9: Quahog 4\.0\.0 can read it"):
        tape.load(b'{"quahog_turn":"t","format":9,"version":"4.0.0"}')


async def test_what_can_not_be_replayed_says_why() -> None:
    company, given = setup.Company(), setup.a_turn()
    with pytest.raises(svc_errors.QuahogError, match="no turn t9 in the record"):
        tape.read("t9", [])
    await company.bus.publish(subjects.turn("user", "peter", "t1"), given)
    with pytest.raises(svc_errors.QuahogError, match="has not ended yet"):
        tape.read("t1", await company.bus.messages("t1"))
    await company.runner().given_up(given, setup.a_job(company, given), "PoisonError: it kills")
    with pytest.raises(svc_errors.QuahogError, match="PoisonError: it kills"):
        tape.read("t1", await company.bus.messages("t1"))


async def test_the_gate_is_asked_again_about_everything() -> None:
    company = setup.Company("Meh.", "Beer!")
    await recorded(company, turn_id="t1")
    await recorded(setup.Company(), turn_id="elsewhere")
    company.good = ("Meh.",)
    told: list[int] = []
    async with company.at_work():
        summary = await rescore.run(company.bus, 0.0, told.append)
    assert (summary.judged, summary.now_refused, summary.now_accepted, summary.failed) == (2, 1, 1, 0)
    assert {(one.text, one.accepted_now) for one in summary.largest} == {("Beer!", False), ("Meh.", True)}
    assert len(told) == 2
    async with company.at_work():
        again = await rescore.run(company.bus, 0.0, told.append)
    assert again.judged == 2  # its own questions of before don't count


async def test_an_older_hour_is_not_asked_about() -> None:
    company = setup.Company()
    kept = await recorded(company)
    async with company.at_work():
        summary = await rescore.run(company.bus, kept.stored_at + 60.0, lambda _done: None)
    assert summary == rescore.Summary()


async def test_without_a_gate_there_is_no_summary(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("svc.bus.limits.CALL_S", 0.05)
    monkeypatch.setattr("svc.bus.limits.REPLY_GRACE_S", 0.01)
    company = setup.Company()
    await recorded(company)
    with pytest.raises(errors.NoReply):
        await rescore.run(company.bus, 0.0, lambda _done: None)


async def test_forged_replies_are_no_judgements() -> None:
    company = setup.Company()
    await recorded(company)
    for n, reply in enumerate((b"junk", base.encode(envelope.Reply(result=msgspec.Raw(b"{}"))))):
        subject = subjects.reply("quality", "assess", "forged", n)
        log = "log" + subject.removeprefix("rep")
        assert isinstance(company.bus.broker, memory.Memory)
        await company.bus.broker.append(log, b"{}", {})
        await company.bus.broker.append(subject, reply, {})
    async with company.at_work():
        assert (await rescore.run(company.bus, 0.0, lambda _done: None)).judged == 1
