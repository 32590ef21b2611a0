"""REST v10: who may ask, the rate limits, and the table of routes for chatting."""

from __future__ import annotations

import dataclasses
import json
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from aiohttp import web

from tests.fake_discord import protocol
from tests.fake_discord.protocol import Json

if TYPE_CHECKING:
    from tests.fake_discord import server

LOG_MAX = 10_000
SENDS = "sends"
"""Marks a route that is limited by `FakeDiscord.rate`."""
REACTIONS = (1, 0.25)
JSON_TYPE = "application/json"
"""Exactly this: discord.py does not parse a body typed `…; charset=utf-8`."""


@dataclasses.dataclass(frozen=True, slots=True)
class Call:
    """One request of somebody who may ask."""

    discord: server.FakeDiscord
    me: Json
    """The user whose token it carries; empty for the routes that need none."""
    body: Json
    path: Mapping[str, str]
    query: Mapping[str, str]


Answer = Json | Sequence[Json] | None
"""None = 204."""


@dataclasses.dataclass(frozen=True, slots=True)
class Route:
    method: str
    path: str
    handler: Callable[[Call], Awaitable[Answer]]
    authorised: bool = True
    limit: str | tuple[int, float] | None = None
    """`SENDS`, or (requests, seconds)."""


@dataclasses.dataclass(frozen=True, slots=True)
class Logged:
    at: float
    method: str
    path: str
    user: str
    status: int


class Rest:
    def __init__(self, discord: server.FakeDiscord) -> None:
        self.discord = discord
        self.log: deque[Logged] = deque(maxlen=LOG_MAX)

    def add_to(self, app: web.Application, routes: Sequence[Route]) -> None:
        for route in routes:
            app.router.add_route(route.method, protocol.API + route.path, self._serve(route))

    def _serve(self, route: Route) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def serve(request: web.Request) -> web.Response:
            # Without `Via` discord.py takes a 429 for a ban by the proxy in front of Discord.
            headers = {"Via": "1.1 google"}
            me = self._user(request)
            try:
                status, answer = await self._answer(route, request, me, headers)
            except protocol.ApiError as error:
                status, answer = error.status, error.body
            path = request.path.removeprefix(protocol.API)
            self.log.append(Logged(time.time(), request.method, path, me.get("username", ""), status))
            if answer is None:
                # A 204 must not be typed JSON: discord.py would parse its empty body.
                return web.Response(status=status, headers=headers)
            headers["Content-Type"] = JSON_TYPE
            return web.Response(status=status, body=json.dumps(answer).encode(), headers=headers)

        return serve

    def _user(self, request: web.Request) -> Json:
        """Whose token it is; empty when nobody's, or when a bot's comes without `Bot ` or the reverse."""
        given = request.headers.get("Authorization", "")
        user = self.discord.world.tokens.get(given.removeprefix("Bot "), {})
        return user if user and user["bot"] == given.startswith("Bot ") else {}

    async def _answer(
        self, route: Route, request: web.Request, me: Json, headers: dict[str, str]
    ) -> tuple[int, Answer]:
        if route.authorised and not me:
            raise protocol.ApiError(401, 0, "401: Unauthorized")
        if fault := self.discord.faults.take(request.method, request.path):
            headers.update(fault.headers)
            return fault.status, fault.body
        self._limit(route, request, me, headers)
        body = await _body(request)
        call = Call(self.discord, me, body, request.match_info, request.query)
        answer = await route.handler(call)
        return (204 if answer is None else 200), answer

    def _limit(self, route: Route, request: web.Request, me: Json, headers: dict[str, str]) -> None:
        if route.limit is None or not me:
            return
        limit, per_s = self.discord.rate if isinstance(route.limit, str) else route.limit
        key = (f"{route.method} {route.path}", me["id"], request.match_info.get("channel", ""))
        taken = self.discord.buckets.take(key, limit, per_s)
        headers.update(taken.headers)
        if taken.allowed:
            return
        headers["Retry-After"] = str(int(taken.retry_after_s) + 1)
        headers["X-RateLimit-Scope"] = "user"
        extra = {"retry_after": round(taken.retry_after_s, 3), "global": False}
        raise protocol.ApiError(429, 0, "You are being rate limited.", **extra)


async def _body(request: web.Request) -> Json:
    """The JSON object of a request; uploaded files become `_files`."""
    if request.content_type == "multipart/form-data":
        form = await request.post()
        body: Json = json.loads(str(form.get("payload_json", "{}")))
        body["_files"] = [
            {"filename": file.filename, "size": len(file.file.read())}
            for file in form.values()
            if isinstance(file, web.FileField)
        ]
        return body
    if not request.can_read_body:
        return {}
    parsed = await request.json()
    return parsed if isinstance(parsed, dict) else {"_list": parsed}


# -- routes ----------------------------------------------------------------------------------------------


async def me(call: Call) -> Answer:
    return call.me


async def application(call: Call) -> Answer:
    return {
        "id": call.me["id"],
        "name": call.me["username"],
        "description": "",
        "icon": None,
        "bot_public": False,
        "bot_require_code_grant": False,
        "verify_key": "0" * 64,
        "flags": 1 << 19,
        "owner": {**call.me, "bot": False},
    }


async def gateway_bot(call: Call) -> Answer:
    limit = {"total": 1000, "remaining": 999, "reset_after": 1, "max_concurrency": 1}
    return {"url": call.discord.gateway.url, "shards": 1, "session_start_limit": limit}


async def channel(call: Call) -> Answer:
    return call.discord.world.channel(call.path["channel"])


async def post(call: Call) -> Answer:
    where = call.discord.world.channel(call.path["channel"])
    if (call.me["id"], where["id"]) in call.discord.world.denied:
        raise protocol.ApiError(403, 50013, "Missing Permissions")
    return await call.discord.messages.post(call.me, where, call.body)


async def history(call: Call) -> Answer:
    where = call.discord.world.channel(call.path["channel"])
    before, limit = int(call.query.get("before", 1 << 63)), int(call.query.get("limit", 50))
    after = int(call.query["after"]) if "after" in call.query else None
    return call.discord.messages.history(where["id"], before, after, limit)


async def message(call: Call) -> Answer:
    return call.discord.messages.find(call.path["channel"], call.path["message"])


async def edit(call: Call) -> Answer:
    found = call.discord.messages.find(call.path["channel"], call.path["message"])
    if found["author"]["id"] != call.me["id"]:
        raise protocol.ApiError(403, 50005, "Cannot edit a message authored by another user")
    return await call.discord.messages.edit(found, call.body)


async def delete(call: Call) -> Answer:
    await call.discord.messages.delete(call.path["channel"], call.path["message"])
    return None


async def typing(call: Call) -> Answer:
    where = call.discord.world.channel(call.path["channel"])
    event = {
        "channel_id": where["id"],
        "user_id": call.me["id"],
        "timestamp": int(time.time()),
        **call.discord.world.member(where, call.me["id"]),
    }
    await call.discord.gateway.dispatch("TYPING_START", event, where, protocol.INTENT_TYPING)
    return None


async def react(call: Call) -> Answer:
    path = call.path
    await call.discord.messages.react(call.me, path["channel"], path["message"], path["emoji"], added=True)
    return None


async def unreact(call: Call) -> Answer:
    path = call.path
    await call.discord.messages.react(call.me, path["channel"], path["message"], path["emoji"], added=False)
    return None


async def direct_channel(call: Call) -> Answer:
    made = call.discord.world.direct_channel(call.me, str(call.body["recipient_id"]))
    return {**made, "recipients": [user for user in made["recipients"] if user["id"] != call.me["id"]]}


async def thread(call: Call) -> Answer:
    world = call.discord.world
    parent = world.channel(call.path["channel"])
    made = world.add_channel(
        world.guilds[parent["guild_id"]],
        call.body["name"],
        protocol.CHANNEL_THREAD,
        parent_id=parent["id"],
        owner_id=call.me["id"],
        message_count=0,
        member_count=1,
        thread_metadata={
            "archived": False,
            "locked": False,
            "auto_archive_duration": 1440,
            "archive_timestamp": protocol.timestamp(),
        },
    )
    if started_from := call.path.get("message"):  # such a thread has the id of its message
        del world.channels[made["id"]]
        made["id"] = started_from
        world.channels[started_from] = made
    # Without `newly_created` discord.py fires thread_join instead of thread_create.
    event = {**made, "newly_created": True}
    await call.discord.gateway.dispatch("THREAD_CREATE", event, made, protocol.INTENT_GUILDS)
    return made


CHANNEL = "/channels/{channel}"
MESSAGE = f"{CHANNEL}/messages/{{message}}"
REACTION = f"{MESSAGE}/reactions/{{emoji}}/@me"

ROUTES = (
    Route("GET", "/users/@me", me),
    Route("GET", "/oauth2/applications/@me", application),
    Route("GET", "/gateway/bot", gateway_bot),
    Route("POST", "/users/@me/channels", direct_channel),
    Route("GET", CHANNEL, channel),
    Route("GET", f"{CHANNEL}/messages", history),
    Route("POST", f"{CHANNEL}/messages", post, limit=SENDS),
    Route("GET", MESSAGE, message),
    Route("PATCH", MESSAGE, edit, limit=SENDS),
    Route("DELETE", MESSAGE, delete),
    Route("POST", f"{CHANNEL}/typing", typing),
    Route("PUT", REACTION, react, limit=REACTIONS),
    Route("DELETE", REACTION, unreact, limit=REACTIONS),
    Route("POST", f"{CHANNEL}/threads", thread),
    Route("POST", f"{MESSAGE}/threads", thread),
)
