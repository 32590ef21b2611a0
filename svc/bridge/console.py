"""The console's API: the cast, saying something, history, events, and why somebody answered as they did."""

from __future__ import annotations

import re
import time
import uuid
from typing import Annotated

import msgspec
from aiohttp import web

from svc.bridge import body, feed, fresh, monitoring, problem, sse
from svc.bus import api, errors, subjects
from svc.wire import base, characters, coordinator, message, router

SURFACE = "console"
CHANNEL = "main"
"""The channel of people who name none."""
CHANNEL_CHARS_MAX = 40
CAST_S = 5.0
"""Packs change when somebody edits them: soon enough."""
CALL_S = 5.0
"""A person waits for the page; after this an error is better than a blank."""
TO_MAX = 16
SEEN = re.compile(r"[0-9]{1,18}", re.ASCII)
LOCAL = "local"
"""Identity of whoever sits here; POST /orchestrate has the same. The name they give is only shown."""


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """`POST /api/say`."""

    text: str
    to: Annotated[tuple[str, ...], msgspec.Meta(max_length=TO_MAX)] = ()
    """Character ids; empty = whoever feels addressed."""
    channel: str = CHANNEL
    name: str = ""
    native: str = ""
    """The caller's own id of this message: sent twice, it is said once. "" = a fresh one."""


class TurnExpected(msgspec.Struct, frozen=True, kw_only=True):
    character: str
    turn: str


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to `POST /api/say`: it is stored, and these turns would answer it."""

    message: str
    native: str
    channel: str
    turns: tuple[TurnExpected, ...]


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """One of the cast, as the picker shows it."""

    id: str
    name: str
    emoji: str
    color: str
    summary: str


class Ready(msgspec.Struct, frozen=True, kw_only=True):
    """After what was missed, once per connection. Not `resumed` = there may be a gap, read the history."""

    channel: str
    resumed: bool


class Console:
    """The handlers under `/api`."""

    def __init__(self, bus: api.Bus, feed: feed.Feed) -> None:
        self.bus = bus
        self.feed = feed
        self._cast = fresh.Fresh(self._fetch_cast, for_s=CAST_S)

    async def cast(self, request: web.Request) -> web.Response:
        """`GET /api/cast`: who can be talked to."""
        return monitoring.reply({"cast": await self._cast.get()})

    async def say(self, request: web.Request) -> web.Response:
        """`POST /api/say`: store what was said; answers come as events. 202 with a `Taken`."""
        said = await body.read(request, Said)
        native = said.native or uuid.uuid4().hex
        heard = message.Heard(
            message=subjects.message_id(SURFACE, native),
            native=native,
            surface=SURFACE,
            channel=channel_id(said.channel),
            author=message.Author(id=LOCAL, name=body.name(said.name) or "You"),
            text=body.text(said.text, most=router.TEXT_CHARS_MAX),
            to=await self._known(said.to),
            at=time.time(),
        )
        turns = tuple(
            TurnExpected(character=one, turn=subjects.turn_id(SURFACE, native, one)) for one in heard.to
        )
        for one in turns:
            self.feed.expect(one.turn, heard.channel, one.character)
        await self.bus.publish(subjects.event("message", "heard", heard.message, 0), heard)
        taken = Taken(message=heard.message, native=native, channel=heard.channel, turns=turns)
        return monitoring.reply(taken, status=202)

    async def history(self, request: web.Request) -> web.Response:
        """`GET /api/history?channel=`: the last lines, oldest first."""
        channel = channel_id(request.query.get("channel", CHANNEL))
        found = await self.bus.call(
            "coordinator",
            "history",
            coordinator.HistoryRequest(channel=channel, limit=100),
            coordinator.History,
            turn=uuid.uuid4().hex,
            within_s=CALL_S,
        )
        return monitoring.reply(found)

    async def events(self, request: web.Request) -> web.StreamResponse:
        """`GET /api/events?channel=`: what happens, as server-sent events.

        Last-Event-ID (or `since`) brings what was missed; `ready` ends it, and says whether that was all.
        """
        channel = channel_id(request.query.get("channel", CHANNEL))
        since = request.headers.get("Last-Event-ID") or request.query.get("since", "")
        seen = int(since) if SEEN.fullmatch(since) else None
        try:
            with self.feed.watch(channel, seen) as viewer:
                body_ = base.encode(Ready(channel=channel, resumed=viewer.resumed))
                ready = sse.frame("ready", body_, sequence=viewer.last)
                return await sse.respond(request, (*viewer.missed, ready), viewer.frames)
        except feed.Full as error:
            raise problem.Problem(
                503,
                "too_many_viewers",
                str(error),
                "Close a page of the console.",
                headers={"Retry-After": str(problem.RETRY_AFTER_S)},
            ) from None

    async def turn(self, request: web.Request) -> web.Response:
        """`GET /api/turns/{turn}`: one turn from the record, step by step."""
        turn = request.match_info["turn"]
        if not subjects.TOKEN.fullmatch(turn):
            raise problem.Problem(
                400, "invalid", f"{turn!r} is no turn id.", "Take the id of a reply.", field="turn"
            )
        found = await self.bus.turn_record(turn)
        if not found.found:
            raise problem.Problem(
                404, "unknown_turn", f"The record has no turn {turn}.", "Turns are kept for 24 hours."
            )
        return monitoring.reply(found)

    async def _fetch_cast(self) -> tuple[Member, ...]:
        found = await self.bus.call(
            "characters",
            "list",
            characters.ListRequest(),
            characters.Cast,
            turn=uuid.uuid4().hex,
            within_s=CALL_S,
        )
        return tuple(
            Member(id=pack.id, name=pack.name, emoji=pack.emoji, color=pack.color, summary=pack.summary)
            for pack in found.packs
        )

    async def _known(self, to: tuple[str, ...]) -> tuple[str, ...]:
        """`to` without repeats. Raises Problem 404 for somebody who is not in the cast.

        While the characters service is away nobody can say who exists; then the coordinator decides.
        """
        if not to:
            return ()
        try:
            known = {member.id for member in await self._cast.get()}
        except errors.BusError:
            known = set(to)
        for one in to:
            if one not in known or not subjects.TOKEN.fullmatch(one):
                raise problem.Problem(
                    404,
                    "unknown_character",
                    f"Nobody here is called {one!r}.",
                    f"There are {', '.join(sorted(known)) or 'no characters'}.",
                    field="to",
                )
        return tuple(dict.fromkeys(to))


def channel_id(given: str) -> str:
    """The bus's id of a console channel, `console-<name>`; the prefix may be given. Raises Problem 400."""
    name = given.removeprefix(f"{SURFACE}-")
    if not subjects.TOKEN.fullmatch(name) or len(name) > CHANNEL_CHARS_MAX:
        raise problem.Problem(
            400,
            "invalid",
            f"{given!r} can't be the name of a channel.",
            f"Use 1 to {CHANNEL_CHARS_MAX} of A-Z a-z 0-9 _ -",
            field="channel",
        )
    return f"{SURFACE}-{name}"
