"""Settings of the model service."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from svc.bus import limits


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Read from `QUAHOG_ENGINE`, `QUAHOG_OLLAMA_URL`, …"""

    engine: Literal["auto", "ollama", "llamacpp", "instant"] = "auto"
    ollama_url: str = "http://127.0.0.1:11434"
    ollama_model: str = "llama3.1:8b"
    ollama_parallel: Annotated[int, Meta(ge=1, le=limits.MODEL_SLOTS)] = limits.MODEL_SLOTS
    """Requests to Ollama in flight. More than its own OLLAMA_NUM_PARALLEL wait in Ollama, where small talk is
    not told from a user's turn."""
    model: str = ""
    """Path of a GGUF file for the embedded engine; "" = the small one that ships with Quahog."""
    threads: Annotated[int, Meta(ge=0, le=64)] = 0
    """Threads of the embedded engine; 0 = one per core this process may use, at most 8."""
    num_ctx: Annotated[int, Meta(ge=1024, le=131072)] = 8192
    """Tokens of prompt and reply together. More costs memory; the model's own limit is never exceeded."""
    instant_delay_ms: Annotated[int, Meta(ge=0, le=60_000)] = 0
    """Engine `instant` only: how long it pretends to think."""
    instant_log: str = ""
    """Engine `instant` only: a file that gets one JSON line per generation it made."""
