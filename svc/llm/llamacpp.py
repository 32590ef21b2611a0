"""The embedded engine: llama.cpp inside this process, with any GGUF file.

The wheel is llama.cpp's whole server, so it always opens an HTTP listener, open to everybody by default. We
put it on a socket in a private folder under a random key, and use it for the two things that have no binding:
rendering a chat template and counting tokens. Generations are direct calls, in threads, without the GIL.
"""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import os
import secrets
import shutil
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import anyio
import anyio.lowlevel
import anyio.to_thread

from svc import control, errors
from svc.bus import limits
from svc.llm import engine, pool, reception, shape, weights
from svc.wire import characters, llm

SLOTS = 8
"""Sequences decoded together. Every candidate is one; the widest request (8 candidates) must fit."""
BATCH_TOKENS = 128
"""Tokens of a prompt read at once. A request can be cancelled between batches, so this bounds how long it
holds on (0.45 s on two cores); 2,048, the default, reads no faster on a CPU."""
PREFIX_CACHE_MIB = 256
"""Prompts kept to start from; the engine's own default is 8,192."""
THREADS_MAX = 8
"""More threads than this gain little: generation is bound by memory."""
HTTP_THREADS = 4
HTTP_S = 10.0
"""One rendering or counting; both take 2 ms."""
SPIN_COUNT = "2000"
"""Rounds an idle OpenMP thread spins before it sleeps. By default it spins for milliseconds and starves
whatever else needs the core: four drafts of 44 tokens beside one busy process took 13 s, so they take 4.9 s,
and on a quiet machine nothing changes (2.3 s)."""
SOCKET_DIR_CHARS_MAX = 60
"""A socket's path may have 104 to 108 bytes, and ours adds 24."""


class LlamaCpp:
    """`engine.Engine` over one loaded GGUF file."""

    name = "llamacpp"
    silence_s = limits.MODEL_STALL_S

    def __init__(self, gguf: Path, *, context: int, threads: int = 0) -> None:
        self.model = gguf.stem
        self.context = context
        self._gguf = gguf
        self._threads = threads or min(THREADS_MAX, _cores())
        self._key = secrets.token_hex(16)
        self._folder: Path | None = None
        self._server: Any = None  # the wheel has no types
        self._http: aiohttp.ClientSession | None = None
        self._shape: shape.Shape = shape.plain
        self.pool = _pool(context)
        self._workers = anyio.CapacityLimiter(SLOTS)
        self._loading = anyio.Lock()

    async def warm(self) -> None:
        async with self._loading:
            if self._server is not None:
                return
            weights.check_processor()
            self._folder = Path(tempfile.mkdtemp(prefix="quahog-", dir=_short_folder()))
            socket = self._folder / "llm.sock"
            # Shielded by default: a load can't be broken off, and half a server must not be left behind.
            self._server = await anyio.to_thread.run_sync(self._load, socket)
            self._http = aiohttp.ClientSession(
                "http://llamacpp",
                connector=aiohttp.UnixConnector(path=str(socket), limit=HTTP_THREADS - 1),
                headers={"Authorization": f"Bearer {self._key}"},
                timeout=aiohttp.ClientTimeout(total=HTTP_S),
            )
            props = await self._request("GET", "/props")
            # A model that was trained on less context than we asked for gets less.
            self.context = min(self.context, int(props["default_generation_settings"]["n_ctx"]))
            self.pool = _pool(self.context)
            await self._find_shape()

    def _load(self, socket: Path) -> Any:
        """Blocking: 0.5 s from a warm disk, 7 s from a cold one."""
        # Read by the OpenMP library once, when it is loaded; so before the import.
        os.environ.setdefault("GOMP_SPINCOUNT", SPIN_COUNT)
        try:
            import xllamacpp
        except ImportError as error:
            raise errors.ConfigError(
                f"the embedded engine can't be loaded ({error}): install the system library libgomp1 and run "
                "`make install`, or run Ollama and set QUAHOG_ENGINE=ollama"
            ) from None
        params = xllamacpp.CommonParams()
        params.model.path = str(self._gguf)
        params.n_ctx = self.context
        params.n_parallel = SLOTS
        params.kv_unified = True
        params.n_batch = params.n_ubatch = BATCH_TOKENS
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = self._threads
        params.cache_ram_mib = PREFIX_CACHE_MIB
        params.ctx_shift = False
        params.warmup = True
        params.verbosity = 0
        params.api_keys = [self._key]
        params.hostnames = [str(socket)]
        params.n_threads_http = HTTP_THREADS
        params.ui = False
        params.endpoint_slots = False
        params.offline = True
        try:
            return xllamacpp.Server(params)
        except RuntimeError:
            raise errors.ConfigError(
                f"{self._gguf.name} can't be loaded: its architecture may be newer than this engine, or it "
                "needs more memory than there is; try a smaller model, a smaller QUAHOG_NUM_CTX, or Ollama"
            ) from None

    async def _find_shape(self) -> None:
        for candidate in shape.SHAPES:
            self._shape = candidate
            try:
                await self._render(shape.PROBE, "Well,")
            except engine.BadPrompt:
                continue
            return
        raise errors.ConfigError(
            f"{self._gguf.name} has no chat template that works: take an instruction-tuned (chat) model"
        )

    def prompt_max(self, sampling: characters.Sampling) -> int:
        """All candidates share the prompt's cells, and each needs its own for what it writes."""
        ask = engine.Ask(messages=(), sampling=sampling)
        return self.context - ask.candidates * ask.max_tokens

    async def count(self, messages: Sequence[llm.ChatMessage], opener: str) -> int:
        return await self._tokens(await self._render(messages, opener))

    async def generate(self, ask: engine.Ask, on_token: engine.OnToken) -> engine.Drafts:
        prompt = await self._render(ask.messages, ask.opener)
        tokens = await self._tokens(prompt)
        cells = tokens + ask.candidates * ask.max_tokens
        moved = functools.partial(on_token, 0, "")
        async with self.pool.take(1, ask.candidates, cells, background=ask.background, moved=moved) as place:
            received = reception.Reception(ask, on_token)
            stop = threading.Event()
            callback = reception.callback(asyncio.get_running_loop(), received.take, stop)
            call = functools.partial(self._server.handle_completions, _body(prompt, ask), callback)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_set_when_cancelled, stop)
                try:
                    # Not abandoned when cancelled: the slot counts as taken until the engine let go of it.
                    await anyio.to_thread.run_sync(call, limiter=self._workers)
                except Exception as error:  # the wheel doesn't say what it raises
                    received.fail(f"{type(error).__name__}: {error}")
                tasks.cancel_scope.cancel()
            await anyio.lowlevel.checkpoint_if_cancelled()  # then what was received is not worth a look
        return dataclasses.replace(received.drafts(tokens), waited_s=place.waited_s)

    async def check(self) -> None:
        await self._request("GET", "/health")

    async def close(self) -> None:
        if self._http is not None:
            await self._http.close()
        # The destructor stops the engine's threads and listener, and takes a moment: not on the event loop.
        last = [self._server]
        self._server = self._http = None
        await anyio.to_thread.run_sync(last.clear)
        if self._folder is not None:
            await anyio.to_thread.run_sync(functools.partial(shutil.rmtree, self._folder, ignore_errors=True))
            self._folder = None

    async def _render(self, messages: Sequence[llm.ChatMessage], opener: str) -> str:
        """The prompt as text, ending in the middle of the assistant's reply. Raises BadPrompt."""
        chat = [
            {"role": message.role, "content": control.defuse(message.content)}
            for message in self._shape(messages)
        ]
        if opener.strip():
            chat.append({"role": "assistant", "content": control.defuse(opener).rstrip()})
        # Thinking and a started reply exclude each other.
        body = {"messages": chat, "chat_template_kwargs": {"enable_thinking": False}}
        return str((await self._request("POST", "/apply-template", body))["prompt"])

    async def _tokens(self, prompt: str) -> int:
        body = {"content": prompt, "add_special": True, "parse_special": True}
        return len((await self._request("POST", "/tokenize", body))["tokens"])

    async def _request(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        if self._http is None:
            raise engine.Unreachable("the embedded engine is not loaded")
        try:
            async with self._http.request(method, path, json=body) as response:
                answer = await response.json()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise engine.Unreachable(f"the embedded engine does not answer: {type(error).__name__}") from None
        if "error" in answer:
            raise reception.failure(answer["error"])
        return answer


def _pool(context: int) -> pool.Pool:
    """Generations, their sequences, and the cells of context these share."""
    return pool.Pool(limits.MODEL_SLOTS, SLOTS, context)


def _body(prompt: str, ask: engine.Ask) -> dict[str, Any]:
    sampling = ask.sampling
    options = {
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "min_p": sampling.min_p,
        "repeat_penalty": sampling.repeat_penalty,
        "stop": [stop for stop in ask.stop if stop],
    }
    if sampling.seed is not None:
        # A prompt read in other batches gives other last digits, and so other words: a seed that is to
        # mean something starts from nothing.
        options |= {"seed": sampling.seed & engine.SEED_MASK, "cache_prompt": False}
    return {
        "prompt": prompt,
        "n": ask.candidates,
        "max_tokens": ask.max_tokens,
        "stream": True,
        "return_progress": True,
        **{name: value for name, value in options.items() if value is not None},
    }


async def _set_when_cancelled(stop: threading.Event) -> None:
    try:
        await anyio.sleep_forever()
    finally:
        stop.set()


def _cores() -> int:
    """Cores this process may use, where the system says; else those it has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _short_folder() -> str | None:
    """Where a socket's path is short enough; None = the system's own choice."""
    for folder in (os.environ.get("XDG_RUNTIME_DIR", ""), tempfile.gettempdir(), "/tmp"):
        if folder and len(folder.encode()) <= SOCKET_DIR_CHARS_MAX and os.access(folder, os.W_OK):
            return folder
    return None
