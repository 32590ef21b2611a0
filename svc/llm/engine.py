"""What a model engine is: one protocol, so that Ollama, the embedded model and the test double are one thing.

EngineError              the engine failed; the message says what to do
├── Unreachable          nothing answers there, or it went away in the middle
├── ModelMissing         the engine is there, the model is not
├── Overloaded           the engine's own queue is full
├── Truncated            the engine cut the prompt without saying so: the draft is worthless
└── BadPrompt            the engine can't make a prompt of these messages, or it is too long for it
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Literal, Protocol

from svc import errors
from svc.llm import pool
from svc.wire import characters, llm

MAX_TOKENS = 160
"""Tokens per draft where a pack says nothing: three or four sentences."""
SEED_MASK = 0x7FFF_FFFF
"""Engines take 31-bit seeds."""

UNSET = characters.Sampling()
"""Everything as the engine likes it."""

OnToken = Callable[[int, str], None]
"""Called on the event loop with (candidate, new text). Empty text: nothing new, but the work moves on.
It must not raise."""


class EngineError(errors.QuahogError):
    """The engine failed."""

    code = "engine_failed"
    """What callers get as the code of the refusal."""


class Unreachable(EngineError):
    code = "engine_unreachable"


class ModelMissing(EngineError):
    code = "model_missing"


class Overloaded(EngineError):
    code = "engine_overloaded"


class Truncated(EngineError):
    code = "prompt_truncated"


class BadPrompt(EngineError):
    code = "bad_prompt"


@dataclasses.dataclass(frozen=True, slots=True)
class Ask:
    """One request: drafts of one reply."""

    messages: tuple[llm.ChatMessage, ...]
    opener: str = ""
    """The reply is started with these words; drafts come back with them."""
    stop: tuple[str, ...] = ()
    sampling: characters.Sampling = UNSET
    character: str = ""
    turn: str = ""
    method: str = ""
    n: str = ""
    """Who asks: for logs, never for the model."""
    background: bool = False
    """Nobody waits for it: it starts only while nothing else waits."""

    @property
    def candidates(self) -> int:
        return self.sampling.candidates or 1

    @property
    def max_tokens(self) -> int:
        return self.sampling.max_tokens or MAX_TOKENS


@dataclasses.dataclass(frozen=True, slots=True)
class Draft:
    """One candidate as the model wrote it, opener included, not cleaned."""

    text: str
    tokens: int
    finish: Literal["stop", "length"]


@dataclasses.dataclass(frozen=True, slots=True)
class Drafts:
    drafts: tuple[Draft, ...]
    prompt_tokens: int
    waited_s: float = dataclasses.field(default=0.0, compare=False)
    """In the pool, before any of it was written."""


class Engine(Protocol):
    """A model, loaded or served elsewhere. Every method but `prompt_max` may raise EngineError."""

    name: str
    """`ollama`, `llamacpp` or `instant`."""
    model: str
    context: int
    """Tokens of prompt and reply together; final once warm."""
    silence_s: float
    """Hearing nothing from any of its generations for longer than this means that it hangs."""
    pool: pool.Pool
    """At most `limits.MODEL_SLOTS` at once, or what it really runs side by side. Final once warm."""

    async def warm(self) -> None:
        """Load the model; returns when a generation would start at once. Quick when it is loaded already.

        Raises ConfigError for what only the owner can mend.
        """
        ...

    def prompt_max(self, sampling: characters.Sampling) -> int:
        """How many tokens a prompt may have if it is to be answered with this sampling."""
        ...

    async def count(self, messages: Sequence[llm.ChatMessage], opener: str) -> int:
        """Tokens of this prompt: exact where the engine has a tokenizer, else never too few."""
        ...

    async def generate(self, ask: Ask, on_token: OnToken) -> Drafts:
        """`ask.candidates` drafts, once the pool has room. Cancelling it frees what it held within half a
        second."""
        ...

    async def check(self) -> None:
        """Is it still there? Cheap: never runs the model."""
        ...

    async def close(self) -> None: ...
