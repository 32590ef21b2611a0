"""STATE: compare-and-set, and leases that only one owner has at a time."""

from __future__ import annotations

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from svc.bus import connection, memory, state
from svc.wire import base, tuning

pytestmark = pytest.mark.anyio

SECONDS = 10.0
NAME = "lease.channel.a"


class Clock:
    """The broker's."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def time(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def owners(clock: Clock) -> tuple[state.Leases, state.Leases]:
    store = connection.Connection(memory.Memory(clock.time), "test").state
    return state.Leases(store, "one", SECONDS), state.Leases(store, "two", SECONDS)


async def test_a_lease_is_taken_then_held_and_denied_to_others(clock: Clock) -> None:
    one, two = owners(clock)
    assert await one.acquire(NAME) == "taken"
    assert await one.acquire(NAME) == "held"
    assert await two.acquire(NAME) == "denied"
    assert await two.acquire("lease.channel.b") == "taken"


async def test_a_lease_that_is_used_never_lapses(clock: Clock) -> None:
    one, two = owners(clock)
    assert await one.acquire(NAME) == "taken"
    for _ in range(10):
        clock.now += SECONDS * 0.9
        assert await one.acquire(NAME) == "held"
        assert await two.acquire(NAME) == "denied"


async def test_while_it_holds_for_long_it_costs_nothing(clock: Clock) -> None:
    source = memory.Memory()
    store = state.State(source)
    one = state.Leases(store, "one", SECONDS)
    await one.acquire(NAME)
    before = await store.get(NAME)
    clock.now += SECONDS * 0.4
    assert await one.acquire(NAME) == "held"
    assert await store.get(NAME) == before


async def test_an_expired_lease_goes_to_whoever_asks(clock: Clock) -> None:
    one, two = owners(clock)
    await one.acquire(NAME)
    clock.now += SECONDS + 0.001
    assert await two.acquire(NAME) == "taken"
    assert await one.acquire(NAME) == "denied"
    clock.now += SECONDS + 0.001
    assert await one.acquire(NAME) == "taken"


async def test_after_a_break_it_is_taken_not_held(clock: Clock) -> None:
    """Others may have written meanwhile: the owner has to read again."""
    one, _ = owners(clock)
    await one.acquire(NAME)
    clock.now += SECONDS + 0.001
    assert await one.acquire(NAME) == "taken"


async def test_of_two_who_ask_at_once_one_gets_it(clock: Clock) -> None:
    one, two = owners(clock)
    results: list[str] = []

    async def acquire(leases: state.Leases) -> None:
        results.append(await leases.acquire(NAME))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(acquire, one)
        tasks.start_soon(acquire, two)
    assert sorted(results) == ["denied", "taken"]


async def test_a_restarted_owner_is_somebody_else_until_the_lease_expires(clock: Clock) -> None:
    source = memory.Memory(clock.time)
    await state.Leases(state.State(source), "pid-1", SECONDS).acquire(NAME)
    restarted = state.Leases(state.State(source), "pid-2", SECONDS)
    assert await restarted.acquire(NAME) == "denied"
    clock.now += SECONDS
    assert await restarted.acquire(NAME) == "taken"


async def test_it_knows_what_it_holds(clock: Clock) -> None:
    one, two = owners(clock)
    assert not one.holds(NAME)
    await one.acquire(NAME)
    await two.acquire(NAME)
    assert (one.holds(NAME), two.holds(NAME)) == (True, False)
    clock.now += SECONDS
    assert not one.holds(NAME)


async def test_forgetting_keeps_what_is_held(clock: Clock) -> None:
    one, two = owners(clock)
    await one.acquire(NAME)
    clock.now += SECONDS * 0.6
    await one.acquire("lease.channel.b")
    clock.now += SECONDS * 0.6
    one.forget()
    assert await one.acquire("lease.channel.b") == "held"
    assert await two.acquire(NAME) == "taken"


STEPS = st.lists(st.tuples(st.booleans(), st.floats(0.0, SECONDS * 1.5)), max_size=20)


@given(STEPS)
@settings(max_examples=40)
def test_at_no_time_do_two_owners_hold_it(steps: list[tuple[bool, float]]) -> None:
    clock = Clock()

    async def run() -> None:
        one, two = owners(clock)
        owner, promised, longest = "", 0.0, 0.0
        for first, wait in steps:
            clock.now += wait
            hold = await (one if first else two).acquire(NAME)
            name = "one" if first else "two"
            if hold == "denied":
                assert owner != name
                assert clock.now < longest
                continue
            assert owner in ("", name) or promised <= clock.now
            if hold == "held":
                assert owner == name
            owner = name
            promised, longest = clock.now + SECONDS / 2, clock.now + SECONDS

    anyio.run(run)


WRITES = st.lists(
    st.tuples(st.sampled_from(["a", "b.c"]), st.sampled_from(["fresh", "current", "stale", "none"])),
    max_size=20,
)


@given(WRITES)
@settings(max_examples=40)
def test_a_write_succeeds_exactly_when_nobody_wrote_since(writes: list[tuple[str, str]]) -> None:
    async def run() -> None:
        store = state.State(memory.Memory())
        known: dict[str, tuple[int, int]] = {}
        for number, (key, expectation) in enumerate(writes):
            _, current = known.get(key, (0, 0))
            revision = {"fresh": 0, "current": current, "stale": current + 99, "none": None}[expectation]
            written = await store.put(key, tuning.Advice(arm=str(number)), revision=revision)
            assert (written is not None) == (revision in (None, current))
            if written is not None:
                assert written > current
                known[key] = (number, written)
            entry = await store.get(key)
            if key in known:
                assert entry is not None
                assert entry.revision == known[key][1]
                assert base.decode(entry.data, tuning.Advice).arm == str(known[key][0])
            else:
                assert entry is None

    anyio.run(run)


@pytest.mark.parametrize("key", ["", ".", "a.", ".a", "a..b", "a b", "a.*", ">", "ä", "a\n"])
async def test_a_key_that_is_no_key_is_refused(key: str) -> None:
    store = state.State(memory.Memory())
    with pytest.raises(ValueError, match="is not a key"):
        await store.get(key)
    with pytest.raises(ValueError, match="is not a key"):
        await store.put(key, tuning.Advice())


async def test_released_leases_are_free_at_once() -> None:
    store = state.State(memory.Memory())
    one, two = state.Leases(store, "one"), state.Leases(store, "two")
    assert await one.acquire("channel") == "taken"
    assert await two.acquire("channel") == "denied"
    await one.release()
    assert not one.holds("channel")
    assert await two.acquire("channel") == "taken"
