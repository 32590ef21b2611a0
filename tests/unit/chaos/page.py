"""A page to talk to: just enough of the bridge's API, with a script of what goes wrong."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import aiohttp
import msgspec
from aiohttp import test_utils, web

from svc.bridge import sse
from svc.chaos import crowd, tally


class Page:
    """What comes in is kept in `said` and `opened`; what goes out is put into the lists below."""

    def __init__(self) -> None:
        self.refusals: list[int] = []
        """Statuses that the next posts get instead of 202; 0 = taken, and the answer is lost."""
        self.said: list[dict[str, object]] = []
        self.opened: list[str] = []
        """The Last-Event-ID of every stream that was opened, "" = none."""
        self.streams: list[bytes] = []
        """What the next streams send before they break off; when there is none left, they stay open."""
        self.histories: list[list[dict[str, object]] | int] = []
        """What the next reads of the history get: lines, or a status."""
        self.reads = 0

    def application(self) -> web.Application:
        app = web.Application()
        app.add_routes(
            [
                web.get("/api/cast", self.cast),
                web.post("/api/say", self.say),
                web.get("/api/events", self.events),
                web.get("/api/history", self.history),
            ]
        )
        return app

    async def cast(self, request: web.Request) -> web.Response:
        return web.json_response({"cast": [{"id": "peter", "name": "Peter"}, {"id": "brian"}]})

    async def say(self, request: web.Request) -> web.Response:
        said = await request.json()
        self.said.append(said)
        status = self.refusals.pop(0) if self.refusals else 202
        if status == 0:
            assert request.transport is not None
            request.transport.close()
        turns = [{"character": one, "turn": f"{said['native']}-{one}"} for one in said["to"]]
        taken = {"message": "m", "native": said["native"], "channel": said["channel"], "turns": turns}
        return web.json_response(taken if status == 202 else {"detail": "no"}, status=status or 500)

    async def events(self, request: web.Request) -> web.StreamResponse:
        self.opened.append(request.headers.get("Last-Event-ID", ""))
        response = web.StreamResponse(headers=sse.HEADERS)
        await response.prepare(request)
        if self.streams:
            await response.write(self.streams.pop(0))
        else:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(30)
        return response

    async def history(self, request: web.Request) -> web.Response:
        self.reads += 1
        found = self.histories.pop(0) if self.histories else []
        if isinstance(found, int):
            return web.json_response({}, status=found)
        return web.json_response({"channel": request.query["channel"], "utterances": found})


@contextlib.asynccontextmanager
async def visited(page: Page, counted: tally.Tally) -> AsyncIterator[crowd.Crowd]:
    """People in front of it."""
    async with test_utils.TestServer(page.application()) as server, aiohttp.ClientSession() as http:
        yield crowd.Crowd(http, lambda: str(server.make_url("/")), counted)


def posted(number: int, text: str = "Hehehe", *, native: str = "n1", character: str = "peter") -> bytes:
    """The frame of an answer."""
    body = {
        "turn": f"{native}-{character}",
        "piece": 0,
        "channel": "console-den",
        "character": character,
        "text": text,
        "reply_to": native,
        "more": "than we look at",
    }
    return sse.frame("posted", msgspec.json.encode(body), sequence=number)


def ready(number: int, *, resumed: bool) -> bytes:
    return sse.frame(
        "ready", msgspec.json.encode({"channel": "console-den", "resumed": resumed}), sequence=number
    )


def line(text: str = "Hehehe", *, native: str = "n1", character: str = "peter") -> dict[str, object]:
    """A character's line in the history."""
    return {
        "id": f"{native}-{character}-0",
        "text": text,
        "character": character,
        "author": {"id": character},
    }
