"""Cache, single flight, pool, deadline and preview, with an engine under our control."""

from __future__ import annotations

import anyio
import msgspec
import pytest

from svc.bus import errors, limits
from svc.llm import engine, keeper, meters, studio
from svc.wire import characters, llm
from tests.unit.llm import scripted

pytestmark = pytest.mark.anyio

REQUEST = llm.GenerateRequest(
    character="peter",
    messages=(
        llm.ChatMessage(role="system", content="persona"),
        llm.ChatMessage(role="user", content="old " * 500, drop=1),
        llm.ChatMessage(role="user", content="Beer? {braces}"),
    ),
)


class Setup:
    def __init__(self, *texts: str) -> None:
        self.engine = scripted.Scripted(*texts)
        self.cache = scripted.DictCache()
        self.meters = meters.Meters()
        self.keeper = keeper.Keeper(self.engine)
        self.studio = studio.Studio(self.engine, self.cache.as_cache(), self.keeper, self.meters)

    def counted(self) -> dict[str, float]:
        return scripted.only(self.meters.counters())


async def test_a_generation_carries_what_the_model_saw() -> None:
    made = Setup("Beer!<|im_end|>", "<think>hm")
    made.engine.context = 400
    result = await made.studio.generate(REQUEST, scripted.a_job(turn="t9", n="3"))
    assert [candidate.text for candidate in result.candidates] == ["Beer!", ""]
    assert [message.content for message in result.prompt] == ["persona", "Beer? {braces}"]
    assert (result.dropped, result.prompt_tokens, result.model, result.engine) == (1, 10, "none", "scripted")
    (ask,) = made.engine.asks
    assert (ask.turn, ask.method, ask.n, ask.character) == ("t9", "generate", "3", "peter")


async def test_the_same_request_is_answered_from_the_cache_and_a_fresh_one_is_not() -> None:
    made = Setup()
    first = await made.studio.generate(REQUEST, scripted.a_job())
    again = await made.studio.generate(REQUEST, scripted.a_job())
    assert again == msgspec.structs.replace(first, cached=True)
    assert len(made.engine.asks) == 1
    kept = dict(made.cache.kept)
    fresh = msgspec.structs.replace(REQUEST, fresh=True)
    assert not (await made.studio.generate(fresh, scripted.a_job())).cached
    assert len(made.engine.asks) == 2
    assert made.cache.kept == kept  # a retry's draft does not become everybody's answer
    assert made.counted()["llm_cache_hits_total"] == 1


@pytest.mark.parametrize(
    "other",
    [
        {"messages": (*REQUEST.messages[:2], llm.ChatMessage(role="user", content="Beer! {braces}"))},
        {"messages": REQUEST.messages[1:]},
        {"opener": "Well,"},
        {"stop": ("\n",)},
        {"sampling": characters.Sampling(temperature=0.5)},
        {"guild": "g2"},
        {"character": "brian"},
    ],
    ids=lambda other: next(iter(other)),
)
async def test_everything_that_could_change_a_word_is_in_the_key(other: dict[str, object]) -> None:
    made = Setup()
    key = made.studio.key(REQUEST)
    assert key.startswith("llm:")
    assert key.split(":")[2] == "peter"
    assert made.studio.key(msgspec.structs.replace(REQUEST, **other)) != key
    made.engine.model = "another"
    assert made.studio.key(REQUEST) != key


async def test_an_empty_generation_is_not_kept() -> None:
    made = Setup("<think>only that")
    await made.studio.generate(REQUEST, scripted.a_job())
    assert not made.cache.kept


async def test_identical_requests_at_once_are_one_generation() -> None:
    made = Setup()
    made.engine.go = anyio.Event()
    jobs = [scripted.a_job(n=str(number)) for number in range(4)]
    results: list[llm.Generation] = []

    async def one(number: int) -> None:
        results.append(await made.studio.generate(REQUEST, jobs[number]))

    async with anyio.create_task_group() as tasks:
        for number in range(4):
            tasks.start_soon(one, number)
        await anyio.wait_all_tasks_blocked()
        before = [waiting.progressed_at for waiting in jobs]
        made.engine.go.set()
    assert len(results) == 4
    assert len(made.engine.asks) == 1
    assert made.counted()["llm_coalesced_total"] == 3
    assert all(waiting.progressed_at > at for waiting, at in zip(jobs, before, strict=True))


async def test_fresh_requests_at_once_are_generations_of_their_own() -> None:
    made = Setup()
    fresh = msgspec.structs.replace(REQUEST, fresh=True)
    async with anyio.create_task_group() as tasks:
        for number in range(3):
            tasks.start_soon(made.studio.generate, fresh, scripted.a_job(n=str(number)))
    assert len(made.engine.asks) == 3


async def test_who_waited_takes_over_when_the_first_runs_out_of_time() -> None:
    made = Setup()
    made.engine.go = anyio.Event()
    results: list[llm.Generation | str] = []

    async def one(left_s: float) -> None:
        try:
            results.append(await made.studio.generate(REQUEST, scripted.a_job(left_s=left_s)))
        except errors.Refused as refused:
            results.append(refused.code)
            made.engine.go.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(one, 0.2)
        await anyio.wait_all_tasks_blocked()
        tasks.start_soon(one, 5.0)
    assert results[0] == "deadline_passed"
    assert isinstance(results[1], llm.Generation)
    assert (made.engine.cancelled, len(made.engine.asks)) == (1, 2)


@pytest.mark.parametrize("left_s", [-1.0, 0.0, 0.2])
async def test_the_deadline_ends_a_generation(left_s: float) -> None:
    made = Setup()
    made.engine.go = anyio.Event()
    with pytest.raises(errors.Refused) as refused:
        await made.studio.generate(REQUEST, scripted.a_job(left_s=left_s))
    assert refused.value.code == "deadline_passed"
    assert made.engine.running == 0
    assert made.counted()["llm_deadline_passed_total"] == 1
    made.engine.go.set()
    assert (await made.studio.generate(REQUEST, scripted.a_job())).candidates


async def test_at_most_five_generations_at_once() -> None:
    made = Setup()
    made.engine.go = anyio.Event()
    async with anyio.create_task_group() as tasks:
        for number in range(8):
            tasks.start_soon(made.studio.generate, other(number), scripted.a_job(n=str(number)))
        await anyio.wait_all_tasks_blocked()
        assert made.studio.gauges()["llm_in_flight"] == limits.MODEL_SLOTS
        assert made.studio.gauges()["llm_waiting"] == 8 - limits.MODEL_SLOTS
        made.engine.go.set()
    assert made.engine.most_running == limits.MODEL_SLOTS
    assert made.studio.gauges()["llm_in_flight"] == 0


def other(number: int) -> llm.GenerateRequest:
    """A request like no other, so that it is a generation of its own."""
    return msgspec.structs.replace(REQUEST, opener=f"{number}")


async def test_a_users_turn_goes_before_all_banter_that_waits() -> None:
    made = Setup()
    made.engine.go = anyio.Event()
    async with anyio.create_task_group() as tasks:
        for number in range(limits.MODEL_SLOTS):
            tasks.start_soon(made.studio.generate, other(number), scripted.a_job(turn=f"busy{number}"))
        await anyio.wait_all_tasks_blocked()
        for number, method in enumerate(("banter", "banter", "generate", "generate"), start=10):
            waiting = scripted.a_job(method=method, turn=f"{method}{number}")
            tasks.start_soon(made.studio.generate, other(number), waiting)
            await anyio.wait_all_tasks_blocked()
        made.engine.go.set()
    late = [ask.turn for ask in made.engine.asks[limits.MODEL_SLOTS :]]
    assert late == ["generate12", "generate13", "banter10", "banter11"]


async def test_a_user_does_not_wait_for_banter_about_the_same() -> None:
    made = Setup()
    made.engine.go = anyio.Event()
    async with anyio.create_task_group() as tasks:
        for method in ("banter", "generate"):
            tasks.start_soon(made.studio.generate, REQUEST, scripted.a_job(method=method))
        await anyio.wait_all_tasks_blocked()
        assert {ask.method for ask in made.engine.asks} == {"banter", "generate"}
        made.engine.go.set()


async def test_waiting_for_the_pool_is_progress_while_others_write() -> None:
    made = Setup()
    made.engine.go = anyio.Event()
    waits = [scripted.a_job(turn="waits"), scripted.a_job(turn="shares")]
    async with anyio.create_task_group() as tasks:
        for number in range(limits.MODEL_SLOTS):
            tasks.start_soon(made.studio.generate, other(number), scripted.a_job(turn=f"busy{number}"))
        await anyio.wait_all_tasks_blocked()
        for one in waits:
            tasks.start_soon(made.studio.generate, other(9), one)
        await anyio.wait_all_tasks_blocked()
        before = [one.progressed_at for one in waits]
        made.engine.pool.moved()
        after = [one.progressed_at for one in waits]
        assert all(now > then for now, then in zip(after, before, strict=True))
        made.engine.go.set()


async def test_a_deadline_that_passes_in_the_line_refuses_and_lets_the_others_go_on() -> None:
    made = Setup()
    made.engine.go = anyio.Event()
    async with anyio.create_task_group() as tasks:
        for number in range(limits.MODEL_SLOTS):
            tasks.start_soon(made.studio.generate, other(number), scripted.a_job(turn=f"busy{number}"))
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(errors.Refused) as refused:
            await made.studio.generate(other(9), scripted.a_job(left_s=0.2))
        assert refused.value.code == "deadline_passed"
        assert made.studio.gauges()["llm_waiting"] == 0
        made.engine.go.set()
    assert len(made.engine.asks) == limits.MODEL_SLOTS


@pytest.mark.parametrize("stream", [False, True])
async def test_a_failing_engine_is_a_refusal_with_its_remedy_and_shows_in_the_health(stream: bool) -> None:
    made = Setup()
    await made.keeper.warm()
    assert made.keeper.health().level == "ok"
    made.engine.error = engine.Unreachable("no Ollama answers: start it")
    request = msgspec.structs.replace(REQUEST, stream=stream)
    with pytest.raises(errors.Refused, match="start it") as refused:
        await made.studio.generate(request, scripted.a_job())
    assert refused.value.code == "engine_unreachable"
    assert made.keeper.health().reasons == ("no Ollama answers: start it",)


async def test_a_bad_prompt_says_nothing_about_the_engine() -> None:
    made = Setup()
    await made.keeper.warm()
    made.engine.error = engine.BadPrompt("too long")
    with pytest.raises(errors.Refused):
        await made.studio.generate(REQUEST, scripted.a_job())
    for messages in ((), (llm.ChatMessage(role="assistant", content="hi"),)):
        with pytest.raises(errors.Refused) as refused:
            await made.studio.generate(msgspec.structs.replace(REQUEST, messages=messages), scripted.a_job())
        assert refused.value.code == "bad_prompt"
    assert made.keeper.health().level == "ok"


async def test_the_keeper_brings_the_model_back() -> None:
    used = scripted.Scripted()
    kept = keeper.Keeper(used, check_s=0.01)
    assert kept.health().level == "degraded"
    await kept.warm()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(kept.watch)
        used.error = engine.Unreachable("gone")
        with anyio.fail_after(2):
            while kept.health().level == "ok":
                await anyio.sleep(0.01)
        used.error = None
        with anyio.fail_after(2):
            while kept.health().level != "ok":
                await anyio.sleep(0.01)
        kept.stop()
    assert used.warmed == 2


async def test_a_watched_generation_is_shown_in_few_pieces_that_add_up() -> None:
    made = Setup("beer! Hehehe.")
    made.engine.go = anyio.Event()
    casts = scripted.Casts()
    request = msgspec.structs.replace(REQUEST, stream=True, opener="Holy crap,")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(made.studio.generate, request, scripted.a_job(casts, turn="t7", n="2"))
        with anyio.fail_after(2):
            while not casts.sent:
                await anyio.sleep(0.01)
        made.engine.go.set()
    assert {subject for subject, _ in casts.sent} == {"tok.llm.generate.t7.2"}
    pieces = [body.text for _, body in casts.sent if isinstance(body, llm.Token)]
    assert pieces == ["Holy crap, beer", "! Hehehe."]
