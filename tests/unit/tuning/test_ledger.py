"""The ledger: every outcome counted once, whoever else writes."""

from __future__ import annotations

import anyio
import anyio.lowlevel
import msgspec
import pytest

from svc.bus import broker, connection, errors, memory, state
from svc.tuning import ledger
from svc.wire import base, quality, tuning, turn

pytestmark = pytest.mark.anyio


def ended(
    number: int, outcome: turn.Outcome = "answered", *, character: str = "peter", arm: str = ""
) -> turn.Ended:
    attempts = (turn.Attempt(n=1, cause="flow"), turn.Attempt(n=2), turn.Attempt(n=3, accepted=True))
    return turn.Ended(
        turn=f"t{number}",
        outcome=outcome,
        character=character,
        surface="http",
        channel="c",
        arm=arm,
        attempts=attempts,
        verdict=quality.Verdict(accepted=True, score=70.0, threshold=60) if outcome == "answered" else None,
    )


class Contested(state.State):
    """Somebody else writes between our read and our write, the first `conflicts` times."""

    def __init__(self, source: broker.Broker, conflicts: int) -> None:
        super().__init__(source)
        self.conflicts = conflicts
        self.other = a_ledger(source)

    async def put(self, key: str, value: msgspec.Struct, *, revision: int | None = None) -> int | None:
        if self.conflicts:
            self.conflicts -= 1
            await self.other.record(ended(1_000 + self.conflicts))
        return await super().put(key, value, revision=revision)


def a_ledger(source: broker.Broker) -> ledger.Ledger:
    """Of another process."""
    return ledger.Ledger(connection.Connection(source, "tuning"))


def contested(conflicts: int) -> tuple[ledger.Ledger, Contested]:
    bus = connection.Connection(memory.Memory(), "tuning")
    bus.state = store = Contested(bus.broker, conflicts)
    return ledger.Ledger(bus), store


async def test_an_outcome_is_counted() -> None:
    book = a_ledger(memory.Memory())
    await book.record(ended(1))
    await book.record(ended(2, "notice"))
    assert await book.tallies() == (
        tuning.Tally(
            character="peter",
            arm="base",
            turns=2,
            accepted=1,
            attempts=6,
            score_sum=70.0,
            failures={"flow": 2, "service": 2},
        ),
    )


async def test_a_repeated_outcome_is_counted_once_by_any_process() -> None:
    source = memory.Memory()
    one, two = a_ledger(source), a_ledger(source)
    await one.record(ended(1))
    await one.record(ended(1))
    await two.record(ended(1))
    await two.record(ended(2))
    (tally,) = await one.tallies()
    assert tally.turns == 2


async def test_only_the_latest_turns_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "SEEN_MAX", 3)
    source = memory.Memory()
    book = a_ledger(source)
    for number in range(6):
        await book.record(ended(number))
    entry = await state.State(source).get(ledger.key("peter", "base"))
    assert entry is not None
    assert base.decode(entry.data, ledger.Kept).seen == ("t3", "t4", "t5")


async def test_a_conflict_loses_neither_outcome() -> None:
    book, _ = contested(ledger.TRIES - 1)
    await book.record(ended(1))
    (tally,) = await book.tallies()
    assert tally.turns == ledger.TRIES


async def test_endless_conflict_asks_for_another_delivery() -> None:
    book, store = contested(100)
    with pytest.raises(errors.Retry, match="written by others"):
        await book.record(ended(1))
    assert store.conflicts == 100 - ledger.TRIES
    (others,) = await book.tallies()
    assert others.turns == ledger.TRIES


async def test_many_at_once_are_all_counted() -> None:
    source = memory.Memory()
    one, two = a_ledger(source), a_ledger(source)
    async with anyio.create_task_group() as tasks:
        for number in range(10):
            tasks.start_soon((one if number % 2 else two).record, ended(number))
    assert [tally.turns for tally in await a_ledger(source).tallies()] == [10]


async def test_what_was_counted_survives_a_restart() -> None:
    source = memory.Memory()
    book = a_ledger(source)
    for number, (character, arm) in enumerate(
        [("peter", ""), ("peter", "warm"), ("peter", "odd arm: {x}"), ("brian", "")]
    ):
        await book.record(ended(number, character=character, arm=arm))
    again = a_ledger(source)
    assert await again.tallies() == await book.tallies()
    assert {tally.arm for tally in await again.tallies("peter")} == {"base", "warm", "odd arm: {x}"}
    assert [tally.character for tally in await again.tallies("brian")] == ["brian"]
    assert await again.tallies("nobody") == ()


async def test_what_is_no_tally_is_passed_over() -> None:
    source = memory.Memory()
    book = a_ledger(source)
    await book.record(ended(1))
    await state.State(source).put(ledger.key("peter", "broken"), tuning.Advice(arm="b"))
    assert [tally.arm for tally in await book.tallies()] == ["base"]


def test_counting_is_pure() -> None:
    tally = tuning.Tally(character="peter", arm="base", failures={"flow": 1})
    more = ledger.added(tally, ended(1))
    assert more.failures == {"flow": 2, "service": 1}
    assert tally.failures == {"flow": 1}
    assert ledger.added(tally, ended(1)) == more
