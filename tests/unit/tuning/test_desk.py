"""The advice desk, and the report of what happened."""

from __future__ import annotations

from typing import cast

import pytest

from svc.bus import connection, job, memory
from svc.tuning import desk, guidance, ledger
from svc.wire import characters, tuning, turn
from tests.unit import fake_redis

pytestmark = pytest.mark.anyio

NO_JOB = cast(job.Job, None)


def failed(*causes: str) -> tuple[tuning.Failure, ...]:
    return tuple(tuning.Failure(attempt=n, component=cause) for n, cause in enumerate(causes, 1))


def request(
    attempt: int = 1, *causes: str, character: str = "peter", origin: str = "user"
) -> tuning.AdviseRequest:
    return tuning.AdviseRequest(
        character=character, origin=origin, attempt=attempt, failures=failed(*causes), topic="Beer?"
    )


def ended(number: int, character: str) -> turn.Ended:
    return turn.Ended(turn=f"t{number}", outcome="answered", character=character, surface="http", channel="c")


class Setup:
    def __init__(self, source: memory.Memory | None = None) -> None:
        self.redis = fake_redis.FakeRedis()
        self.source = source or memory.Memory()
        self.desk = desk.Desk(self.redis.cache(), ledger.Ledger(connection.Connection(self.source, "tuning")))


async def test_base_advice_leaves_the_pack_as_it_is() -> None:
    advice = await Setup().desk.advise(request(), NO_JOB)
    assert (advice.arm, advice.guidance, advice.sampling) == (ledger.BASE, (), characters.Sampling())
    assert (advice.reason, advice.cached) == ("the pack as it is", False)


async def test_later_attempts_get_a_sentence_for_what_failed() -> None:
    advice = await Setup().desk.advise(request(4, "echo", "flow", "echo"), NO_JOB)
    assert advice.guidance == (guidance.GUIDANCE["echo"], guidance.GUIDANCE["flow"])
    assert advice.reason == "2 sentences for what failed"


async def test_the_same_request_is_answered_from_the_cache() -> None:
    made = Setup()
    first = await made.desk.advise(request(4, "echo"), NO_JOB)
    again = await made.desk.advise(request(4, "echo"), NO_JOB)
    assert (first.cached, again.cached) == (False, True)
    assert (again.arm, again.guidance, again.reason) == (first.arm, first.guidance, first.reason)
    assert [key.split(":")[:2] for key in made.redis.kept] == [["ft_opt", "peter"]]


@pytest.mark.parametrize(
    "other",
    [
        request(5, "echo"),
        request(4, "flow"),
        request(4, "echo", "echo"),
        request(4, "echo", character="brian"),
        request(4, "echo", origin="organic"),
    ],
)
async def test_another_request_is_not(other: tuning.AdviseRequest) -> None:
    made = Setup()
    await made.desk.advise(request(4, "echo"), NO_JOB)
    assert not (await made.desk.advise(other, NO_JOB)).cached


async def test_without_a_cache_there_is_advice() -> None:
    made = Setup()
    made.redis.error = ConnectionError("gone")
    for _ in range(2):
        advice = await made.desk.advise(request(7, "flow"), NO_JOB)
        assert advice.guidance[0] == guidance.FIRM


async def test_a_report_is_of_one_character_or_all() -> None:
    made = Setup()
    for number, name in enumerate(("peter", "brian", "peter")):
        await made.desk.ended(ended(number, name), NO_JOB)
    await made.desk.ended(ended(0, "peter"), NO_JOB)
    everybody = await made.desk.report(tuning.ReportRequest(), NO_JOB)
    assert [(tally.character, tally.turns) for tally in everybody.tallies] == [("brian", 1), ("peter", 2)]
    one = await made.desk.report(tuning.ReportRequest(character="brian"), NO_JOB)
    assert [tally.character for tally in one.tallies] == ["brian"]


async def test_any_process_reports_what_all_of_them_counted() -> None:
    one = Setup()
    two = Setup(one.source)
    await one.desk.ended(ended(1, "peter"), NO_JOB)
    report = await two.desk.report(tuning.ReportRequest(), NO_JOB)
    assert [(tally.character, tally.turns) for tally in report.tallies] == [("peter", 1)]
