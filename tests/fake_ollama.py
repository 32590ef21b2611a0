"""An Ollama that needs no model: the parts of its protocol that we use, and its ways to fail."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import AsyncIterator
from typing import Any

import anyio
from aiohttp import web

STORY = "I like beer a lot, and television too. Then there is the Clam, where all of my friends are."
WORDS = STORY.split()
TEMPLATE_TOKENS = 4
"""What its chat template adds per message; a word of content is one token."""


@dataclasses.dataclass
class FakeOllama:
    """What it has and how it fails may be changed while it runs."""

    models: tuple[str, ...] = ("llama3.1:8b",)
    trained_context: int = 131_072
    real_context: int = 131_072
    """What it really gives, whatever `num_ctx` says; the prompt is cut to this without a word."""
    version: str = "0.12.3"
    capabilities: tuple[str, ...] = ("completion",)
    rejects_think: bool = False
    busy: bool = False
    token_s: float = 0.0
    """Seconds per token."""
    dies_after: int | None = None
    """Tokens after which the connection breaks."""
    dies_on_seed: int | None = None
    requests: list[tuple[str, dict[str, Any]]] = dataclasses.field(default_factory=list)
    hung_up: int = 0
    """Streams that the client closed before they were done."""
    in_flight: int = 0
    most_in_flight: int = 0
    url: str = ""
    _ended: anyio.Event = dataclasses.field(default_factory=anyio.Event)

    def chats(self) -> list[dict[str, Any]]:
        return [body for path, body in self.requests if path == "/api/chat"]

    async def idle(self) -> None:
        """Until no chat is in flight."""
        while self.in_flight:
            await self._ended.wait()

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[FakeOllama]:
        """Serve on a free port of this machine for the length of the block."""
        app = web.Application()
        app.router.add_get("/api/version", self._version)
        app.router.add_get("/api/tags", self._tags)
        app.router.add_get("/api/ps", self._ps)
        app.router.add_post("/api/show", self._show)
        app.router.add_post("/api/generate", self._generate)
        app.router.add_post("/api/chat", self._chat)
        # Without this, a handler never learns that its client hung up.
        runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.5)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        try:
            yield self
        finally:
            await runner.cleanup()

    async def _version(self, request: web.Request) -> web.Response:
        return web.json_response({"version": self.version})

    async def _tags(self, request: web.Request) -> web.Response:
        return web.json_response({"models": [{"name": name, "model": name} for name in self.models]})

    async def _ps(self, request: web.Request) -> web.Response:
        loaded = [{"name": name, "model": name} for name in self.models]
        return web.json_response({"models": loaded})

    async def _show(self, request: web.Request) -> web.Response:
        body = await self._read(request)
        if missing := self._missing(body):
            return missing
        return web.json_response(
            {
                "capabilities": list(self.capabilities),
                "model_info": {"general.architecture": "llama", "llama.context_length": self.trained_context},
            }
        )

    async def _generate(self, request: web.Request) -> web.Response:
        body = await self._read(request)
        if missing := self._missing(body):
            return missing
        done = {"model": body["model"], "response": "", "done": True, "done_reason": "load"}
        return web.json_response(done)

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        body = await self._read(request)
        if refused := self._missing(body) or self._refused(body):
            return refused
        options = body.get("options", {})
        context = min(options.get("num_ctx", 4096), self.real_context)
        tokens = sum(TEMPLATE_TOKENS + len(m["content"].split()) for m in body["messages"])
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        await response.prepare(request)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            return await self._write(response, body, min(tokens, context))
        except (anyio.get_cancelled_exc_class(), ConnectionResetError):
            self.hung_up += 1
            raise
        finally:
            self.in_flight -= 1
            self._ended.set()
            self._ended = anyio.Event()

    async def _write(
        self, response: web.StreamResponse, body: dict[str, Any], prompt_tokens: int
    ) -> web.StreamResponse:
        options = body.get("options", {})
        written, made, reason = "", 0, "stop"
        seed = options.get("seed", 0)
        for number in range(options.get("num_predict", 128) + 1):
            word = WORDS[(seed + number) % len(WORDS)]
            if any(stop in f"{written} {word}" for stop in options.get("stop", ())):
                break
            if number == options.get("num_predict", 128):
                reason = "length"
                break
            if number == self.dies_after or seed == self.dies_on_seed:
                assert response._req is not None
                assert response._req.transport is not None
                response._req.transport.close()
                return response
            await anyio.sleep(self.token_s)
            piece = f" {word}"
            written, made = written + piece, made + 1
            await self._line(response, {"message": {"role": "assistant", "content": piece}, "done": False})
        await self._line(
            response,
            {
                "message": {"role": "assistant", "content": ""},
                "done": True,
                "done_reason": reason,
                "prompt_eval_count": prompt_tokens,
                "eval_count": made,
            },
        )
        return response

    async def _line(self, response: web.StreamResponse, part: dict[str, Any]) -> None:
        await response.write(json.dumps({"model": "fake", **part}).encode() + b"\n")

    async def _read(self, request: web.Request) -> dict[str, Any]:
        body: dict[str, Any] = await request.json()
        self.requests.append((request.path, body))
        return body

    def _missing(self, body: dict[str, Any]) -> web.Response | None:
        if body["model"] in self.models:
            return None
        return web.json_response({"error": f"model '{body['model']}' not found"}, status=404)

    def _refused(self, body: dict[str, Any]) -> web.Response | None:
        if self.busy:
            return web.json_response({"error": "server busy, please try again"}, status=503)
        if self.rejects_think and "think" in body:
            return web.json_response({"error": "this model does not support thinking"}, status=400)
        return None
