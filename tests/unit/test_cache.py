"""The cache may vanish at any time: answers go on, the health says so, and it comes back by itself."""

from __future__ import annotations

import itertools
import types

import anyio
import pytest
import redis.exceptions
from hypothesis import given
from hypothesis import strategies as st

from svc import cache
from svc.wire import base, tuning
from tests.unit import fake_redis

pytestmark = pytest.mark.anyio

ADVICE = tuning.Advice(arm="b")
GONE = redis.exceptions.ConnectionError("Connection refused")


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(cache, "time", types.SimpleNamespace(monotonic=made.monotonic))
    return made


def test_lifetimes_are_the_documents() -> None:
    assert cache.TTL_S == {
        "llm": 3_600,
        "char_config": 86_400,
        "rag": 3_600,
        "conv_history": 86_400,
        "qc": 1_800,
        "ft_opt": 300,
        "reply": 3_600,
    }


PARTS = st.lists(
    st.one_of(st.text(max_size=4), st.integers(0, 20), st.lists(st.text("ab", max_size=2), max_size=2)),
    max_size=4,
)


@given(PARTS, PARTS)
def test_digests_are_equal_exactly_when_the_parts_are(one: list[object], other: list[object]) -> None:
    assert (cache.digest(*one) == cache.digest(*other)) == (one == other)


def test_boundaries_and_order_count() -> None:
    variants: list[tuple[object, ...]] = [
        *(("ab", "c"), ("a", "bc"), ("abc",), ("c", "ab"), ("abc", ""), ("", "abc"), (), ("",)),
        *((b"ab", b"c"), (b"a", b"bc"), (["a", "b"],), (1,), ("1",), (None,), (ADVICE,), (tuning.Advice(),)),
    ]
    digests = [cache.digest(*variant) for variant in variants]
    assert len(set(digests)) == len(variants)
    assert {len(digest) for digest in digests} == {24}


def test_digests_are_the_same_in_every_process() -> None:
    assert cache.digest("peter", 1, ["a"]) == "b486bedec58f19f0319e89e3"


async def test_what_is_set_is_found_for_the_lifetime_of_its_kind() -> None:
    server = fake_redis.FakeRedis()
    shared = server.cache()
    for kind in cache.TTL_S:
        await shared.set(f"{kind}:x", ADVICE)
        assert await shared.get(f"{kind}:x", tuning.Advice) == ADVICE
    assert server.expiries == {f"{kind}:x": ttl for kind, ttl in cache.TTL_S.items()}


async def test_a_kind_without_a_lifetime_is_a_mistake() -> None:
    with pytest.raises(KeyError):
        await fake_redis.FakeRedis().cache().set("mystery:x", ADVICE)


async def test_hits_misses_and_unreadable_values_are_counted_by_kind() -> None:
    server = fake_redis.FakeRedis()
    shared = server.cache()
    await shared.set("qc:a", ADVICE)
    await shared.get("qc:a", tuning.Advice)
    await shared.get("qc:b", tuning.Advice)
    await shared.get("rag:b", tuning.Advice)
    server.kept["qc:c"] = b'{"arm": 3}'
    server.kept["qc:d"] = b"\xff"
    assert await shared.get("qc:c", tuning.Advice) is None
    assert await shared.get("qc:d", tuning.Advice) is None
    assert dict(shared.counts) == {
        ("qc", "hit"): 1,
        ("qc", "miss"): 1,
        ("rag", "miss"): 1,
        ("qc", "error"): 2,
    }
    assert shared.health().level == "ok"


@pytest.mark.parametrize(
    "error", [GONE, redis.exceptions.TimeoutError("slow"), OSError("no route"), TimeoutError()]
)
async def test_away_means_misses_and_a_degraded_health(error: Exception, clock: Clock) -> None:
    server = fake_redis.FakeRedis()
    shared = server.cache()
    await shared.set("qc:a", ADVICE)
    server.error = error
    assert await shared.get("qc:a", tuning.Advice) is None
    await shared.set("qc:b", ADVICE)
    health = shared.health()
    assert health.level == "degraded"
    assert health.reasons[0].startswith(f"cache unreachable: {type(error).__name__}")
    assert not health.reasons[0].endswith((":", " "))
    assert shared.counts["qc", "error"] == 1


async def test_while_it_is_away_it_is_left_alone_and_then_comes_back_by_itself(clock: Clock) -> None:
    server = fake_redis.FakeRedis()
    shared = server.cache()
    await shared.set("qc:a", ADVICE)
    server.error = GONE
    await shared.get("qc:a", tuning.Advice)
    asked = server.asked
    server.error = None
    clock.now += cache.RETRY_S - 0.001
    assert await shared.get("qc:a", tuning.Advice) is None
    assert (server.asked, shared.up()) == (asked, False)
    clock.now += 0.001
    assert await shared.get("qc:a", tuning.Advice) == ADVICE
    assert (shared.up(), shared.health().level) == (True, "ok")


async def test_a_slow_cache_is_worse_than_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "OPERATION_S", 0.02)
    server = fake_redis.FakeRedis()
    shared = server.cache()
    server.hangs = True
    assert await shared.get("qc:a", tuning.Advice) is None
    assert shared.health().reasons == ("cache unreachable: TimeoutError",)


async def test_connecting_is_lazy() -> None:
    shared = cache.Cache.connect("redis://127.0.0.1:1/0")
    assert shared.up()
    await shared.close()


@pytest.mark.parametrize("value", ["text {braces}", 3, True, None, ["a", "ü"], {"k": [1.5]}])
async def test_plain_values_survive(value: object) -> None:
    shared = fake_redis.FakeRedis().cache()
    await shared.set("llm:x", value)
    assert await shared.get("llm:x", object) == value
    assert base.decode(base.encode(value), object) == value


def test_every_kind_tells_its_keys_apart() -> None:
    assert not [pair for pair in itertools.permutations(cache.TTL_S, 2) if pair[0].startswith(f"{pair[1]}:")]


async def test_health_says_when_it_is_back_though_nobody_uses_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "RETRY_S", 0.01)
    server = fake_redis.FakeRedis()
    kept = server.cache()
    server.error = ConnectionError("gone")
    await kept.get("ft_opt:x", tuning.Advice)
    assert kept.health().level == "degraded"
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(kept.watch)
        server.error = None
        with anyio.fail_after(2):
            while kept.health().level != "ok":
                await anyio.sleep(0.01)
        tasks.cancel_scope.cancel()
