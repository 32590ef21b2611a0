"""What every engine must do, run over all of them; then what is particular to each."""

from __future__ import annotations

import contextlib
import dataclasses
import stat
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import anyio
import pytest

from svc import errors
from svc.bus import errors as bus_errors
from svc.bus import limits
from svc.llm import draft, engine, instant, llamacpp, meters, ollama, vectors, weights
from svc.wire import characters, llm
from tests import fake_ollama
from tests.unit.llm import scripted

pytestmark = pytest.mark.anyio

MODEL = "llama3.1:8b"
MESSAGES = (
    llm.ChatMessage(role="system", content="You are Peter Griffin, a loud and cheerful man who loves beer."),
    llm.ChatMessage(role="user", content="What do you think about beer?"),
)
OPENER = "Holy crap,"


@contextlib.asynccontextmanager
async def _opened(name: str) -> AsyncIterator[engine.Engine]:
    async with contextlib.AsyncExitStack() as stack:
        made: engine.Engine
        if name == "instant":
            made = instant.Instant(context=2048, delay_ms=200)
        elif name == "llamacpp":
            made = llamacpp.LlamaCpp(weights.find(""), context=2048)
        else:
            server = await stack.enter_async_context(fake_ollama.FakeOllama(token_s=0.01).serving())
            made = ollama.Ollama(server.url, MODEL, context=2048)
        stack.push_async_callback(made.close)
        await made.warm()
        yield made


@pytest.fixture(params=["instant", "llamacpp", "ollama"])
async def made(request: pytest.FixtureRequest) -> AsyncIterator[engine.Engine]:
    async with _opened(request.param) as opened:
        yield opened


def _ask(*, n: int = 2, max_tokens: int = 16, stop: tuple[str, ...] = (), seed: int | None = 7) -> engine.Ask:
    sampling = characters.Sampling(candidates=n, max_tokens=max_tokens, seed=seed, temperature=0.8)
    return engine.Ask(messages=MESSAGES, opener=OPENER, stop=stop, sampling=sampling, character="peter")


def _deaf(index: int, text: str) -> None:
    """Nobody listens."""


async def test_a_warm_engine_is_there_and_may_be_warmed_again(made: engine.Engine) -> None:
    await made.warm()
    await made.check()
    assert made.context == 2048
    assert made.prompt_max(characters.Sampling(max_tokens=100)) == 1948


async def test_tokens_add_up_to_the_drafts(made: engine.Engine) -> None:
    heard: dict[int, str] = {}

    def hear(index: int, text: str) -> None:
        heard[index] = heard.get(index, "") + text

    result = await made.generate(_ask(n=3), hear)

    assert len(result.drafts) == 3
    for index, one in enumerate(result.drafts):
        assert 1 <= one.tokens <= 16
        expected = heard[index] if made.name == "instant" else draft.joined(OPENER, heard[index])
        assert one.text == expected
    assert result.prompt_tokens >= sum(len(message.content.split()) for message in MESSAGES)


async def test_a_reply_starts_with_the_opener_and_ends_at_the_limit(made: engine.Engine) -> None:
    if made.name == "instant":
        pytest.skip("its lines are ready-made")
    result = await made.generate(_ask(n=1, max_tokens=8), _deaf)
    assert result.drafts[0].text.startswith(OPENER)
    assert result.drafts[0].finish == "length"
    assert result.drafts[0].tokens == 8


async def test_a_stop_string_ends_a_draft_and_is_not_in_it(made: engine.Engine) -> None:
    if made.name == "instant":
        pytest.skip("its lines are ready-made")
    result = await made.generate(_ask(n=1, max_tokens=64, stop=("", "a")), _deaf)
    assert "a" not in result.drafts[0].text.removeprefix(OPENER)
    assert result.drafts[0].finish == "stop"


async def test_a_seed_gives_the_same_drafts_again(made: engine.Engine) -> None:
    first = await made.generate(_ask(), _deaf)
    assert await made.generate(_ask(), _deaf) == first
    assert await made.generate(_ask(seed=8), _deaf) != first


async def test_counting_grows_with_the_prompt(made: engine.Engine) -> None:
    longer = (*MESSAGES, llm.ChatMessage(role="user", content="And about wine?"))
    short = await made.count(MESSAGES, "")
    assert short < await made.count(MESSAGES, OPENER) < await made.count(longer, OPENER)
    assert await made.count((llm.ChatMessage(role="user", content="ja " * 500),), "") >= 500


async def test_cancelling_frees_the_engine(made: engine.Engine) -> None:
    ask, width = _ask(n=8, max_tokens=100), 3
    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            heard = anyio.Event()
            for _ in range(width):
                tasks.start_soon(made.generate, ask, lambda index, text: heard.set())
            if made.name == "instant":
                await anyio.sleep(0.02)
            else:
                await heard.wait()
            start = time.monotonic()
            tasks.cancel_scope.cancel()
        assert time.monotonic() - start < 1.0
        start = time.monotonic()
        await made.generate(_ask(n=1, max_tokens=8), _deaf)
    assert time.monotonic() - start < 2.0


async def test_background_work_waits_until_nobody_else_does(made: engine.Engine) -> None:
    ended: list[str] = []

    async def run(name: str, background: bool) -> None:
        ask = dataclasses.replace(_ask(n=8, max_tokens=2), background=background)
        await made.generate(ask, _deaf)
        ended.append(name)

    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            for number in range(limits.MODEL_SLOTS):
                tasks.start_soon(run, f"first{number}", False)
            while made.pool.inside + made.pool.waiting < limits.MODEL_SLOTS:
                await anyio.sleep(0.001)
            tasks.start_soon(run, "background", True)
            await anyio.sleep(0.02)
            tasks.start_soon(run, "user", False)
    assert ended.index("user") < ended.index("background")


async def test_braces_in_what_people_say_are_text(made: engine.Engine) -> None:
    messages = (llm.ChatMessage(role="user", content="{word} %s {{ messages }} {% raw %} {0}"),)
    result = await made.generate(engine.Ask(messages=messages, sampling=_ask(n=1).sampling), _deaf)
    assert result.drafts[0].tokens


# -- the embedded engine ---------------------------------------------------------------------------


async def test_control_tokens_that_somebody_typed_are_words() -> None:
    async with _opened("llamacpp") as made:
        typed = await made.count((llm.ChatMessage(role="user", content="<|im_end|>" * 50),), "")
        plain = await made.count((llm.ChatMessage(role="user", content="x " * 50),), "")
        assert typed > 3 * plain


async def test_a_prompt_too_long_is_an_error_and_not_a_reply() -> None:
    async with _opened("llamacpp") as made:
        messages = (llm.ChatMessage(role="user", content="beer " * 3000),)
        with pytest.raises(engine.BadPrompt, match="context"):
            await made.generate(engine.Ask(messages=messages), _deaf)


def _modes(folder: Path) -> list[int]:
    return [stat.S_IMODE(found.stat().st_mode) for found in folder.iterdir()]


@pytest.fixture
def run_folder() -> Iterator[Path]:
    """A folder whose path is short enough for a socket; pytest's own are not."""
    with tempfile.TemporaryDirectory(prefix="q") as folder:
        yield Path(folder)


async def test_it_is_silent_and_leaves_nothing_behind(
    run_folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(run_folder))
    async with _opened("llamacpp") as made:
        assert _modes(run_folder) == [0o700]
        await made.generate(_ask(), _deaf)
    assert not _modes(run_folder)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("content", "says"),
    [(None, "no such file"), (b"hello", "not a GGUF"), (b"GGUF" + b"x" * 99, "can't be loaded")],
)
async def test_a_bad_file_is_the_owners_to_mend(tmp_path: Path, content: bytes | None, says: str) -> None:
    path = tmp_path / "model.gguf"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(errors.ConfigError, match=says):
        made = llamacpp.LlamaCpp(weights.find(str(path)), context=2048)
        try:
            await made.warm()
        finally:
            await made.close()


# -- Ollama ----------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def _served(server: fake_ollama.FakeOllama) -> AsyncIterator[ollama.Ollama]:
    async with server.serving():
        made = ollama.Ollama(server.url, MODEL, context=2048)
        try:
            yield made
        finally:
            await made.close()


async def test_every_call_says_how_long_the_context_is_and_keeps_the_model() -> None:
    server = fake_ollama.FakeOllama()
    async with _served(server) as made:
        await made.warm()
        sampling = characters.Sampling(min_p=0.06, top_p=0.9, temperature=0.8, max_tokens=8)
        await made.generate(engine.Ask(messages=MESSAGES, opener=OPENER, sampling=sampling), _deaf)
    loads = [body for path, body in server.requests if path == "/api/generate"]
    (chat,) = server.chats()
    assert [load["options"] for load in loads] == [{"num_ctx": 2048}]
    assert chat["options"] == {
        "num_ctx": 2048,
        "num_predict": 8,
        "temperature": 0.8,
        "top_p": 0.9,
        "min_p": 0.06,
    }
    assert chat["keep_alive"] == loads[0]["keep_alive"] == ollama.KEEP_ALIVE
    assert chat["stream"] is True
    assert chat["messages"][-1] == {"role": "assistant", "content": OPENER}
    assert "think" not in chat


async def test_the_context_is_never_more_than_the_model_was_trained_on() -> None:
    async with _served(fake_ollama.FakeOllama(trained_context=1500)) as made:
        await made.warm()
        assert made.context == 1500


async def test_a_missing_model_is_named_with_the_command_that_gets_it() -> None:
    async with _served(fake_ollama.FakeOllama(models=("phi3:mini",))) as made:
        with pytest.raises(engine.ModelMissing, match=r"ollama pull llama3\.1:8b"):
            await made.warm()


async def test_an_unreachable_server_is_named() -> None:
    server = fake_ollama.FakeOllama()
    async with _served(server):
        pass
    made = ollama.Ollama(server.url, MODEL, context=2048)
    with pytest.raises(engine.Unreachable, match="ollama serve"):
        await made.warm()
    with pytest.raises(engine.Unreachable, match="ollama serve"):
        await made.generate(_ask(), _deaf)
    await made.close()


@pytest.mark.parametrize(("real", "length"), [(1024, 1500), (100, 1500)])
async def test_a_cut_prompt_is_noticed(real: int, length: int) -> None:
    async with _served(fake_ollama.FakeOllama(real_context=real)) as made:
        await made.warm()
        messages = (llm.ChatMessage(role="user", content="beer " * length),)
        with pytest.raises(engine.Truncated, match="cut the prompt"):
            await made.generate(engine.Ask(messages=messages), _deaf)


async def test_a_prompt_that_fits_is_not_called_cut() -> None:
    async with _served(fake_ollama.FakeOllama(real_context=2048)) as made:
        await made.warm()
        messages = (llm.ChatMessage(role="user", content="beer " * 1500),)
        assert (await made.generate(engine.Ask(messages=messages), _deaf)).prompt_tokens == 1504


async def test_dying_in_the_middle_is_an_error() -> None:
    async with _served(fake_ollama.FakeOllama(dies_after=3)) as made:
        await made.warm()
        with pytest.raises(engine.Unreachable):
            await made.generate(_ask(), _deaf)


async def test_one_candidate_of_three_may_die() -> None:
    async with _served(fake_ollama.FakeOllama(dies_on_seed=8)) as made:
        await made.warm()
        assert len((await made.generate(_ask(n=3, seed=7), _deaf)).drafts) == 2


async def test_a_full_queue_is_overload() -> None:
    async with _served(fake_ollama.FakeOllama(busy=True)) as made:
        await made.warm()
        with pytest.raises(engine.Overloaded):
            await made.generate(_ask(), _deaf)


async def test_thinking_is_switched_off_where_there_is_a_switch() -> None:
    server = fake_ollama.FakeOllama(capabilities=("completion", "thinking"))
    async with _served(server) as made:
        await made.warm()
        await made.generate(_ask(n=1), _deaf)
        assert server.chats()[-1]["think"] is False
        server.rejects_think = True
        await made.generate(_ask(n=1), _deaf)
        assert "think" not in server.chats()[-1]


async def test_at_most_five_at_once_and_cancelling_hangs_up() -> None:
    server = fake_ollama.FakeOllama(token_s=0.02)
    async with _served(server) as made:
        await made.warm()
        with anyio.move_on_after(0.3):
            await made.generate(_ask(n=8, max_tokens=200), _deaf)
        with anyio.fail_after(2):
            await server.idle()
        assert server.most_in_flight == limits.MODEL_SLOTS
        assert server.hung_up == limits.MODEL_SLOTS


async def test_what_is_not_an_ollama_is_called_that() -> None:
    server = fake_ollama.FakeOllama()
    async with server.serving():
        made = ollama.Ollama(f"{server.url}/nothing", MODEL, context=2048)
        with pytest.raises(engine.EngineError, match="QUAHOG_OLLAMA_URL"):
            await made.find()
        await made.close()


# -- embedding -------------------------------------------------------------------------------------


async def test_embedding_gives_unit_vectors_that_mean_something() -> None:
    answerer = vectors.Vectors(meters.Meters())
    request = llm.EmbedRequest(texts=("I love beer.", "Beer is my favourite drink.", "The tax form is due."))
    made = await answerer.embed(request, scripted.a_job())
    beer, drink, tax = made.vectors
    assert len(beer) == 384
    assert _dot(beer, beer) == pytest.approx(1.0, abs=1e-3)
    assert _dot(beer, drink) > _dot(beer, tax) + 0.2
    with pytest.raises(bus_errors.Refused, match="split"):
        await answerer.embed(llm.EmbedRequest(texts=("x",) * (vectors.TEXTS_MAX + 1)), scripted.a_job())


def _dot(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))
