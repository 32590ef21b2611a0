"""The engine of a real deployment: a model served by Ollama.

Ollama cuts a prompt that is longer than its context without a word, system prompt first, so the context is
set explicitly in every call and what came back is checked against it.
"""

from __future__ import annotations

import contextlib
import functools
import json
import time
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from typing import Any, Literal, cast

import anyio
import httpx
import ollama
import pydantic

from svc import config, control
from svc.bus import limits
from svc.llm import draft, engine, pool
from svc.wire import characters, llm

KEEP_ALIVE = "30m"
"""How long Ollama keeps the model after the last call. Not for ever: without the bot, its memory is free."""
TOUCH_S = 600.0
"""A model nobody used for this long is touched, so that it never leaves memory while the bot runs."""
CONNECT_S = 5.0
CHECK_S = 5.0
"""Whole of a call that never runs the model."""
LOAD_S = 600.0
"""Loading the model; measured 70 to 270 s from a cold disk."""
BYTES_PER_TOKEN = 3.0
"""Ollama has no tokenizer to ask. English has 4.3 bytes a token, so this errs on the safe side."""
TOKENS_PER_WORD = 1.4
TOKENS_PER_MESSAGE = 8
"""What a chat template writes round one message."""
COUNTS_CACHED_FROM = (0, 4)
"""First version whose `prompt_eval_count` includes the part of the prompt that was cached."""


class Ollama:
    """`engine.Engine` over one Ollama server."""

    name = "ollama"
    silence_s = limits.HANDLE_S
    """It says nothing while it reads a prompt, a minute on a processor, or while its own queue is long. Every
    call ends at its deadline, so only one that doesn't hangs."""

    def __init__(self, url: str, model: str, *, context: int, parallel: int = limits.MODEL_SLOTS) -> None:
        self.model = model
        self.context = context
        self._url = config.USERINFO.sub("…", url)  # only shown
        self.pool = pool.Pool(parallel)  # of requests to Ollama: one for every draft
        self._client = ollama.AsyncClient(
            host=url,
            timeout=httpx.Timeout(None, connect=CONNECT_S),  # generations end by the caller's deadline
            trust_env=False,  # a proxy for the web has no business between us and a local server
        )
        self._asked_context = context
        self._version: tuple[int, ...] = ()
        self._think: Literal[False] | None = None
        """False turns thinking off; None says nothing, for servers or models that don't know the word."""
        self._used_at = 0.0

    async def find(self) -> None:
        """Is the server there, and the model on it? Raises Unreachable, ModelMissing."""
        try:
            with self._failures(), anyio.fail_after(CHECK_S):
                listed = await self._client.list()
        except engine.ModelMissing:  # not even the path is there
            raise self._stranger() from None
        names = {found.model for found in listed.models if found.model}
        if self.model not in names and f"{self.model}:latest" not in names:
            raise engine.ModelMissing(
                f"Ollama at {self._url} does not have {self.model}: run `ollama pull {self.model}`"
            )

    async def warm(self) -> None:
        await self.find()
        with self._failures(), anyio.fail_after(CHECK_S):
            self._version = await self._read_version()
            shown = await self._client.show(self.model)
        self._think = False if "thinking" in (shown.capabilities or ()) else None
        trained = [value for key, value in (shown.modelinfo or {}).items() if key.endswith(".context_length")]
        self.context = min([self._asked_context, *(int(value) for value in trained)])
        await self._touch(LOAD_S)
        with contextlib.suppress(engine.EngineError):  # servers before 0.11 don't say
            with self._failures(), anyio.fail_after(CHECK_S):
                loaded = await self._client.ps()
            for found in loaded.models:
                if found.model in (self.model, f"{self.model}:latest") and found.context_length:
                    self.context = min(self.context, found.context_length)

    async def _touch(self, within_s: float) -> None:
        """An empty prompt loads the model and renews its stay. The options must be those of every call:
        another `num_ctx` would load it again."""
        with self._failures(), anyio.fail_after(within_s):
            await self._client.generate(
                model=self.model, prompt="", keep_alive=KEEP_ALIVE, options={"num_ctx": self.context}
            )
        self._used_at = time.monotonic()

    def prompt_max(self, sampling: characters.Sampling) -> int:
        return self.context - engine.Ask(messages=(), sampling=sampling).max_tokens

    async def count(self, messages: Sequence[llm.ChatMessage], opener: str) -> int:
        texts = [opener, *(message.content for message in messages)]
        return sum(
            TOKENS_PER_MESSAGE
            + int(max(len(text.split()) * TOKENS_PER_WORD, len(text.encode()) / BYTES_PER_TOKEN))
            for text in texts
        )

    async def generate(self, ask: engine.Ask, on_token: engine.OnToken) -> engine.Drafts:
        """Candidates are calls side by side. Failed ones are left out, unless all fail or one was cut."""
        results: dict[int, tuple[engine.Draft, int]] = {}
        failures: list[engine.EngineError] = []
        waits: list[float] = []

        async def one(index: int) -> None:
            moved = functools.partial(on_token, index, "")
            try:
                async with self.pool.take(1, background=ask.background, moved=moved) as place:
                    waits.append(place.waited_s)
                    results[index] = await self._draft(ask, index, on_token)
            except engine.EngineError as error:
                failures.append(error)

        async with anyio.create_task_group() as tasks:
            for index in range(ask.candidates):
                tasks.start_soon(one, index)
        for error in failures:
            if isinstance(error, engine.Truncated) or not results:
                raise error
        self._used_at = time.monotonic()
        made = [results[index] for index in sorted(results)]
        return engine.Drafts(
            tuple(one_draft for one_draft, _ in made), max(tokens for _, tokens in made), min(waits)
        )

    async def _draft(self, ask: engine.Ask, index: int, on_token: engine.OnToken) -> tuple[engine.Draft, int]:
        try:
            return await self._stream(ask, index, on_token)
        except _ThinkRefused:
            self._think = None
            return await self._stream(ask, index, on_token)

    async def _stream(
        self, ask: engine.Ask, index: int, on_token: engine.OnToken
    ) -> tuple[engine.Draft, int]:
        pieces: list[str] = []
        last: ollama.ChatResponse | None = None
        with self._failures():
            # Always streamed: closing the stream is the only way to make Ollama stop.
            stream = await self._client.chat(
                model=self.model,
                messages=_chat(ask),
                stream=True,
                think=self._think,
                options=_options(ask, index, self.context),
                keep_alive=KEEP_ALIVE,
            )
            # Declared as a mere iterator, but it is a generator, and closing it closes the connection.
            async with contextlib.aclosing(cast("AsyncGenerator[ollama.ChatResponse]", stream)):
                async for part in stream:
                    if piece := part.message.content or "":
                        pieces.append(piece)
                    on_token(index, piece)
                    if part.done:
                        last = part
        if last is None:
            raise engine.Unreachable(f"Ollama at {self._url} ended in the middle of a reply; try again")
        read = last.prompt_eval_count or 0
        self._check_whole(ask, read)
        return (
            engine.Draft(
                text=draft.joined(ask.opener, "".join(pieces)),
                tokens=last.eval_count or len(pieces),
                finish="length" if last.done_reason == "length" else "stop",
            ),
            read or await self.count(ask.messages, ask.opener),
        )

    def _check_whole(self, ask: engine.Ask, read: int) -> None:
        """Raise Truncated when the server read fewer tokens than the prompt can have had.

        No tokenizer makes one token of two words, so fewer tokens than words means that some were cut; and
        a prompt that fills the context to the brim was cut to fit.
        """
        if not read:
            return
        words = sum(len(message.content.split()) for message in ask.messages)
        fewer = read < words and self._version >= COUNTS_CACHED_FROM
        if fewer or read >= self.context:
            raise engine.Truncated(
                f"Ollama cut the prompt: it read {read} tokens of at least {words} words in a context of "
                f"{self.context}; lower QUAHOG_NUM_CTX to what the server really gives, or shorten the prompt"
            )

    async def check(self) -> None:
        await self.find()
        if time.monotonic() - self._used_at > TOUCH_S:
            await self._touch(LOAD_S)

    async def close(self) -> None:
        await self._client.close()  # type: ignore[no-untyped-call]

    async def _read_version(self) -> tuple[int, ...]:
        """(0, 12, 3) of "0.12.3-rc1"; () when the server won't say."""
        response = await self._client._client.get("/api/version")  # the library has no call for it
        try:
            text = str(response.json().get("version", ""))
            return tuple(int(part) for part in text.partition("-")[0].split("."))
        except (ValueError, AttributeError):
            return ()

    @contextlib.contextmanager
    def _failures(self) -> Iterator[None]:
        """Turn what the client raises into our errors, each with what to do."""
        try:
            yield
        except ollama.ResponseError as error:
            raise self._refused(error) from None
        except (ConnectionError, httpx.HTTPError, TimeoutError) as error:
            reason = str(error) if isinstance(error, httpx.HTTPError) else ""
            raise engine.Unreachable(
                f"no Ollama answers at {self._url}{f' ({reason})' if reason else ''}: start it with "
                "`ollama serve`, or set QUAHOG_OLLAMA_URL"
            ) from None
        except (json.JSONDecodeError, pydantic.ValidationError, httpx.InvalidURL):
            raise self._stranger() from None

    def _stranger(self) -> engine.EngineError:
        return engine.Unreachable(
            f"what answers at {self._url} is not an Ollama server: set QUAHOG_OLLAMA_URL"
        )

    def _refused(self, error: ollama.ResponseError) -> engine.EngineError:
        reason = error.error.strip()
        if error.status_code == 404 or "not found" in reason:
            return engine.ModelMissing(
                f"Ollama at {self._url} does not have {self.model}: run `ollama pull {self.model}`"
            )
        if error.status_code == 503:
            return engine.Overloaded(f"Ollama's queue is full ({reason}); try again in a minute")
        if error.status_code == 400 and "think" in reason:
            return _ThinkRefused(f"Ollama refuses `think` for {self.model}: {reason}")
        if error.status_code == 400:
            return engine.BadPrompt(f"Ollama refuses this prompt: {reason}")
        return engine.EngineError(f"Ollama failed: {reason}; its own log says more (`ollama serve`)")


class _ThinkRefused(engine.BadPrompt):
    """This server or model does not know `think`: ask again without."""


def _chat(ask: engine.Ask) -> list[Mapping[str, Any]]:
    chat: list[Mapping[str, Any]] = [
        {"role": message.role, "content": control.defuse(message.content)} for message in ask.messages
    ]
    if ask.opener.strip():
        chat.append({"role": "assistant", "content": control.defuse(ask.opener).rstrip()})
    return chat


def _options(ask: engine.Ask, index: int, context: int) -> dict[str, Any]:
    sampling = ask.sampling
    options = {
        "num_ctx": context,
        "num_predict": ask.max_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "min_p": sampling.min_p,
        "repeat_penalty": sampling.repeat_penalty,
        "seed": None if sampling.seed is None else (sampling.seed + index) & engine.SEED_MASK,
        "stop": [stop for stop in ask.stop if stop] or None,
    }
    return {name: value for name, value in options.items() if value is not None}
