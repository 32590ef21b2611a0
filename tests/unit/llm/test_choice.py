"""Which engine is chosen, and what the owner is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from svc import config, errors
from svc.llm import choice, settings, weights
from tests import fake_ollama

pytestmark = pytest.mark.anyio


async def _choose(**environ: str) -> choice.Choice:
    wanted = config.read(
        settings.Settings, {f"QUAHOG_{name.upper()}": value for name, value in environ.items()}
    )
    chosen = await choice.choose(wanted)
    await chosen.engine.close()
    return chosen


async def test_auto_takes_ollama_when_it_has_the_model() -> None:
    async with fake_ollama.FakeOllama().serving() as server:
        chosen = await _choose(ollama_url=server.url)
        assert (chosen.engine.name, chosen.engine.model) == ("ollama", "llama3.1:8b")
        assert server.url in chosen.reason


async def test_auto_without_the_model_is_embedded_and_says_why() -> None:
    async with fake_ollama.FakeOllama(models=("phi3:mini",)).serving() as server:
        chosen = await _choose(ollama_url=server.url)
        assert chosen.engine.name == "llamacpp"
        assert "ollama pull llama3.1:8b" in chosen.reason
        with pytest.raises(errors.ConfigError, match=r"ollama pull llama3\.1:8b"):
            await _choose(engine="ollama", ollama_url=server.url)


async def test_auto_without_ollama_is_embedded_and_ollama_without_ollama_is_an_error() -> None:
    async with fake_ollama.FakeOllama().serving() as server:
        gone = server.url
    chosen = await _choose(ollama_url=gone)
    assert (chosen.engine.name, chosen.engine.model) == ("llamacpp", "SmolLM2-135M-Instruct.Q4_1")
    assert gone in chosen.reason
    with pytest.raises(errors.ConfigError, match="ollama serve"):
        await _choose(engine="ollama", ollama_url=gone)
    hidden = gone.replace("//", "//me:hunter2@")
    assert "hunter2" not in (await _choose(ollama_url=hidden)).reason


async def test_a_file_that_is_named_is_what_runs(tmp_path: Path) -> None:
    gguf = tmp_path / "mine.gguf"
    gguf.write_bytes(b"GGUF...")
    async with fake_ollama.FakeOllama().serving() as server:
        chosen = await _choose(ollama_url=server.url, model=str(gguf))
    assert (chosen.engine.name, chosen.engine.model) == ("llamacpp", "mine")
    with pytest.raises(errors.ConfigError, match="no such file"):
        await _choose(model=str(tmp_path / "yours.gguf"))


async def test_instant_and_nonsense() -> None:
    assert (await _choose(engine="instant")).engine.name == "instant"
    with pytest.raises(errors.ConfigError, match="QUAHOG_OLLAMA_URL"):
        await _choose(engine="ollama", ollama_url="localhost")
    with pytest.raises(errors.ConfigError, match="QUAHOG_ENGINE"):
        await _choose(engine="gpt")


def test_a_processor_that_would_crash_is_refused_in_words(tmp_path: Path) -> None:
    info = tmp_path / "cpuinfo"
    info.write_text("flags\t\t: fpu sse4_2 avx\n")
    with pytest.raises(errors.ConfigError, match="AVX2"):
        weights.check_processor("x86_64", info)
    weights.check_processor("aarch64", info)
    info.write_text("flags\t\t: fpu avx avx2 fma\n")
    weights.check_processor("x86_64", info)
