"""The model service: generate, banter, embed."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from svc.wire.base import Wire
from svc.wire.characters import Sampling

Role = Literal["system", "user", "assistant"]


class ChatMessage(Wire, frozen=True, kw_only=True):
    """One message of the prompt. Roles are set by code, never by what a user typed."""

    role: Role
    content: str
    drop: Annotated[int, Meta(ge=0)] = 0
    """0 = never dropped; otherwise the highest number goes first when the prompt is too long."""
    kind: str = ""
    """For people reading the record: `persona`, `example`, `knowledge`, `guidance`, `history`, `user`."""


class GenerateRequest(Wire, frozen=True, kw_only=True):
    """`req.llm.generate` (somebody waits) and `req.llm.banter` (organic)."""

    character: str
    messages: tuple[ChatMessage, ...]
    opener: str = ""
    """The reply is started with these words; they are part of every candidate's text."""
    stop: tuple[str, ...] = ()
    sampling: Sampling = Sampling()
    fresh: bool = False
    """True bypasses the response cache (every retry)."""
    guild: str = ""
    stream: bool = False
    """True streams text as `tok.llm.<method>.<turn>.<n>` while it is made."""


class Candidate(Wire, frozen=True, kw_only=True):
    text: str
    tokens: int = 0
    finish: Literal["stop", "length", "cancelled"] = "stop"


class Token(Wire, frozen=True, kw_only=True):
    """`tok.llm.<method>.<turn>.<n>`: a piece of a draft while it is made. Core NATS, never stored."""

    text: str
    index: int = 0
    """Which candidate."""


class Generation(Wire, frozen=True, kw_only=True):
    candidates: tuple[Candidate, ...]
    model: str
    engine: str = ""
    """`ollama`, `llamacpp` or `instant`."""
    prompt: tuple[ChatMessage, ...] = ()
    """The prompt as sent, after the budget: what the model really saw."""
    prompt_tokens: int = 0
    dropped: int = 0
    """Messages the budget dropped."""
    cached: bool = False
    first_token_ms: float = 0.0
    ms: float = 0.0


class EmbedRequest(Wire, frozen=True, kw_only=True):
    texts: tuple[str, ...]


class Embeddings(Wire, frozen=True, kw_only=True):
    vectors: tuple[tuple[float, ...], ...]
    """Unit length, in the order of the texts."""
    model: str
