"""`POST /orchestrate`: say something to one character and wait for the answer."""

from __future__ import annotations

import uuid

import msgspec
from aiohttp import web

from svc.bridge import body, monitoring, problem
from svc.bus import api, errors, limits, subjects
from svc.wire import router


class Orchestrate:
    """The synchronous door to the router."""

    def __init__(self, bus: api.Bus) -> None:
        self.bus = bus

    async def post(self, request: web.Request) -> web.Response:
        """`OrchestrateRequest` in, `Orchestrated` out. The same `native` twice is the same turn, run once.

        Raises Problem 400, 404, 413, 415, 422, 429, 503, 504; the last names the turn.
        """
        asked = await body.read(request, router.OrchestrateRequest)
        asked = msgspec.structs.replace(
            asked,
            text=body.text(asked.text, most=router.TEXT_CHARS_MAX),
            author=msgspec.structs.replace(asked.author, name=body.name(asked.author.name)),
            native=asked.native or uuid.uuid4().hex,
        )
        turn = subjects.turn_id(router.SURFACE, asked.native, asked.character)
        try:
            answer = await self.bus.call(
                "router",
                "orchestrate",
                asked,
                router.Orchestrated,
                turn=turn,
                n=0,
                within_s=limits.ORCHESTRATE_S,
            )
        except errors.BusError as error:
            raise problem.of_bus(error, turn=turn) from None
        return monitoring.reply(answer)
