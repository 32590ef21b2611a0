"""A scoring rule of the gate changes: replaying recorded traffic shows what that would do."""

from __future__ import annotations

import msgspec
import pytest

from svc.bus import subjects
from svc.quality import engagement, gate, service
from svc.router import replay, rescore, settings, tape
from svc.wire import quality
from tests.unit.router import setup

pytestmark = pytest.mark.anyio

LINE = "Holy crap! Beer is the best thing since, like, two beers!"


async def test_a_changed_scoring_rule_shows_in_replays(
    keeper: gate.Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    company, given = setup.Company(LINE), setup.a_turn()
    company.assess = service.Assessor(company.redis.cache(), keeper).assess  # type: ignore[method-assign]
    await company.bus.publish(subjects.turn("user", "peter", "t1"), given)
    async with company.at_work():
        await company.runner().run(given, setup.a_job(company, given))
        recorded = tape.read("t1", await company.bus.messages("t1"))
        live = frozenset({"quality"})

        before = await replay.run(recorded, settings.Settings(), live=live, bus=company.bus)
        assert before.now is not None
        assert before.now.verdict == recorded.ended.verdict
        assert (await rescore.run(company.bus, 0.0, lambda _done: None)).unchanged == 1

        monkeypatch.setattr(engagement, "HUMOUR_POINTS", -30.0)
        after = await replay.run(recorded, settings.Settings(), live=live, bus=company.bus)
        summary = await rescore.run(company.bus, 0.0, lambda _done: None)
    assert not after.identical
    assert after.now is not None
    assert after.now.verdict is not None
    assert recorded.ended.verdict is not None
    assert after.now.verdict.score < recorded.ended.verdict.score
    (judged,) = [step for step in after.steps if step.live]
    then = msgspec.json.decode(judged.reply_before, type=quality.Assessment).verdicts[0]
    now = msgspec.json.decode(judged.reply_now, type=quality.Assessment).verdicts[0]
    moved = [one.name for one, other in zip(then.components, now.components, strict=True) if one != other]
    assert moved == ["engagement"]
    (change,) = summary.largest
    assert (change.text, change.score) == (LINE, then.score)
    assert change.score_now == now.score < change.score
