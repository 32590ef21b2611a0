"""Which engine runs, and why."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import anyio

from svc import config, errors
from svc.llm import engine, instant, llamacpp, ollama, settings, weights

LOOK_S = 1.0
"""How long `auto` waits for an Ollama before it takes the embedded model."""


@dataclasses.dataclass(frozen=True, slots=True)
class Choice:
    engine: engine.Engine
    """Not warm yet; whoever gets it closes it."""
    reason: str
    """For the log and the settings page."""


async def choose(wanted: settings.Settings) -> Choice:
    """The engine that `wanted` names, or with `auto` the best there is.

    `auto` is the GGUF file that QUAHOG_MODEL names, else Ollama when it answers at once and has the model,
    else the embedded model. Raises ConfigError when the one named can't be had.
    """
    match wanted.engine:
        case "instant":
            log = Path(wanted.instant_log) if wanted.instant_log else None
            made = instant.Instant(context=wanted.num_ctx, delay_ms=wanted.instant_delay_ms, log=log)
            return Choice(made, "QUAHOG_ENGINE=instant: lines from a list, no model")
        case "llamacpp":
            return Choice(_embedded(wanted), "QUAHOG_ENGINE=llamacpp")
        case "ollama":
            served = _served(wanted)
            try:
                await served.find()
            except engine.EngineError as error:
                await served.close()
                raise errors.ConfigError(f"QUAHOG_ENGINE=ollama, but {error}") from None
            return Choice(served, "QUAHOG_ENGINE=ollama")
        case "auto":
            return await _best(wanted)


async def _best(wanted: settings.Settings) -> Choice:
    if wanted.model:
        return Choice(_embedded(wanted), "QUAHOG_MODEL names a file")
    served = _served(wanted)
    url = config.USERINFO.sub("…", wanted.ollama_url)
    reason = f"no Ollama answered at {url} within {LOOK_S:g} s"
    with anyio.move_on_after(LOOK_S):
        try:
            await served.find()
        except engine.EngineError as error:
            reason = str(error)
        else:
            return Choice(served, f"Ollama at {url} has {wanted.ollama_model}")
    await served.close()
    return Choice(_embedded(wanted), reason)


def _served(wanted: settings.Settings) -> ollama.Ollama:
    # The client writes bare errors about URLs it can't read; this one is the owner's.
    if not wanted.ollama_url.startswith(("http://", "https://")):
        raise errors.ConfigError(
            f"QUAHOG_OLLAMA_URL={wanted.ollama_url} is not a URL: write http://HOST:11434"
        )
    return ollama.Ollama(
        wanted.ollama_url, wanted.ollama_model, context=wanted.num_ctx, parallel=wanted.ollama_parallel
    )


def _embedded(wanted: settings.Settings) -> llamacpp.LlamaCpp:
    gguf = weights.find(wanted.model)
    return llamacpp.LlamaCpp(gguf, context=wanted.num_ctx, threads=wanted.threads)
