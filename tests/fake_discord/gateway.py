"""The gateway: sessions that can be resumed, compression, events to whoever may see them."""

from __future__ import annotations

import contextlib
import importlib
import json
import zlib
from collections import Counter, deque
from collections.abc import Callable
from typing import Any, Literal

from aiohttp import WSCloseCode, WSMsgType, web

from tests.fake_discord import protocol, world
from tests.fake_discord.protocol import Json

REPLAY_MAX = 1000
"""Events a session keeps for a RESUME; a client further behind has to identify again."""

Compress = Callable[[bytes], bytes]


class Socket:
    """One websocket, compressing or not."""

    def __init__(self, ws: web.WebSocketResponse, request: web.Request, compress: Compress | None) -> None:
        self.ws = ws
        self._request = request
        self._compress = compress

    async def send(self, payload: Json) -> None:
        text = json.dumps(payload)
        if self._compress:
            await self.ws.send_bytes(self._compress(text.encode()))
        else:
            await self.ws.send_str(text)

    def abort(self) -> None:
        """Drop the TCP connection, as a broken network does."""
        if self._request.transport:
            self._request.transport.abort()


class Session:
    """What a client identified for; survives its socket, so that it can be resumed."""

    def __init__(self, session_id: str, user: Json, intents: int) -> None:
        self.id = session_id
        self.user = user
        self.intents = intents
        self.socket: Socket | None = None
        self.sequence = 0
        self.replay: deque[Json] = deque(maxlen=REPLAY_MAX)

    async def event(self, kind: str, data: Json) -> None:
        self.sequence += 1
        payload: Json = {"op": protocol.DISPATCH, "t": kind, "s": self.sequence, "d": data}
        self.replay.append(payload)
        await self.raw(payload)

    async def raw(self, payload: Json) -> None:
        """To the socket, if there is one; a socket that dies meanwhile is none."""
        if self.socket is None or self.socket.ws.closed:
            return
        with contextlib.suppress(ConnectionError, RuntimeError):
            await self.socket.send(payload)

    def can_resume(self, sequence: int) -> bool:
        return not self.replay or sequence >= self.replay[0]["s"] - 1


class Gateway:
    def __init__(self, world_: world.World, *, heartbeat_ms: int, compress: bool) -> None:
        self.world = world_
        self.heartbeat_ms = heartbeat_ms
        self.compress = compress
        self.url = ""
        self.sessions: dict[str, Session] = {}
        self.counts: Counter[str] = Counter()
        """`connect`, `heartbeat`, `identify`, `resume` -> times."""

    async def dispatch(self, kind: str, data: Json, channel: Json, intent: int = 0) -> None:
        """Tell every session that may see `channel` and asked for `intent`, without what it may not read."""
        if not channel.get("guild_id"):
            intent <<= protocol.DM_SHIFT
        audience = self.world.audience(channel)
        for session in list(self.sessions.values()):
            if session.user["id"] in audience and (not intent or session.intents & intent):
                await session.event(kind, _redacted(kind, data, channel, session))

    async def tell(self, user_id: str, kind: str, data: Json) -> None:
        """Tell one user's sessions."""
        for session in list(self.sessions.values()):
            if session.user["id"] == user_id:
                await session.event(kind, data)

    async def disconnect(self, user: Json, how: Literal["abort", "op7", "op9"] | int = "abort") -> None:
        """Drop the TCP connection, ask to reconnect (op 7), lose the session (op 9), or close with a code."""
        for session in list(self.sessions.values()):
            socket = session.socket
            if session.user["id"] != user["id"] or socket is None:
                continue
            if how == "op7":
                await session.raw({"op": protocol.RECONNECT, "d": None})
            elif how == "op9":
                del self.sessions[session.id]
                await session.raw({"op": protocol.INVALID_SESSION, "d": False})
            elif how == "abort":
                session.socket = None
                socket.abort()
            else:
                session.socket = None
                await socket.ws.close(code=how)

    async def close(self) -> None:
        for session in self.sessions.values():
            if session.socket:
                await session.socket.ws.close(code=WSCloseCode.GOING_AWAY)

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        """One websocket, from HELLO to its end."""
        ws = web.WebSocketResponse(max_msg_size=0)
        await ws.prepare(request)
        socket = Socket(ws, request, _compressor(request.query.get("compress")) if self.compress else None)
        self.counts["connect"] += 1
        await socket.send({"op": protocol.HELLO, "d": {"heartbeat_interval": self.heartbeat_ms}})
        session: Session | None = None
        async for message in ws:
            if message.type is not WSMsgType.TEXT:
                break
            payload: Json = json.loads(message.data)
            data = payload.get("d")
            match payload["op"]:
                case protocol.HEARTBEAT:
                    self.counts["heartbeat"] += 1
                    await socket.send({"op": protocol.HEARTBEAT_ACK})
                case protocol.IDENTIFY:
                    session = await self._identify(socket, data)
                    if session is None:
                        break
                case protocol.RESUME:
                    session = await self._resume(socket, data)
                case protocol.MEMBERS if session:
                    await self._members(session, data)
        if session and session.socket is socket:
            session.socket = None
            if ws.close_code in (WSCloseCode.OK, WSCloseCode.GOING_AWAY):
                self.sessions.pop(session.id, None)  # a clean close ends the session
        return ws

    async def _identify(self, socket: Socket, data: Any) -> Session | None:
        """A new session, told about its guilds; None when Discord would have closed the socket."""
        self.counts["identify"] += 1
        user = self.world.tokens.get(data["token"])
        if user is None:
            await socket.ws.close(code=protocol.CLOSE_AUTHENTICATION, message=b"Authentication failed.")
            return None
        if data["intents"] & protocol.PRIVILEGED & ~self.world.privileged[user["id"]]:
            await socket.ws.close(code=protocol.CLOSE_DISALLOWED_INTENTS, message=b"Disallowed intent(s).")
            return None
        session = Session(f"session{self.world.number()}", user, data["intents"])
        session.socket = socket
        self.sessions[session.id] = session
        guilds = [g for g in self.world.guilds.values() if user["id"] in self.world.members[g["id"]]]
        ready = {
            "v": 10,
            "user": user,
            "guilds": [{"id": guild["id"], "unavailable": True} for guild in guilds],
            "session_id": session.id,
            "resume_gateway_url": self.url,
            "application": {"id": user["id"], "flags": 0},
        }
        await session.event("READY", ready)
        for guild in guilds:
            await session.event("GUILD_CREATE", self._guild(guild))
        return session

    def _guild(self, guild: Json) -> Json:
        members = list(self.world.members[guild["id"]].values())
        channels = [c for c in self.world.channels.values() if c.get("guild_id") == guild["id"]]
        return {
            **guild,
            "unavailable": False,
            "member_count": len(members),
            "members": members,
            "presences": [],
            "voice_states": [],
            "large": False,
            "joined_at": protocol.timestamp(),
            "channels": [c for c in channels if c["type"] not in protocol.THREADS],
            "threads": [c for c in channels if c["type"] in protocol.THREADS],
        }

    async def _resume(self, socket: Socket, data: Any) -> Session | None:
        """The session again with the events it missed, or op 9 when it is too far behind or gone."""
        self.counts["resume"] += 1
        session = self.sessions.get(data["session_id"])
        if session is None or not session.can_resume(data["seq"]):
            await socket.send({"op": protocol.INVALID_SESSION, "d": False})
            return None
        session.socket = socket
        for missed in [payload for payload in session.replay if payload["s"] > data["seq"]]:
            await session.raw(missed)
        await session.event("RESUMED", {})
        return session

    async def _members(self, session: Session, data: Any) -> None:
        chunk = {
            "guild_id": data["guild_id"],
            "members": list(self.world.members[str(data["guild_id"])].values()),
            "chunk_index": 0,
            "chunk_count": 1,
            "nonce": data.get("nonce"),
        }
        await session.event("GUILD_MEMBERS_CHUNK", chunk)


def _redacted(kind: str, data: Json, channel: Json, session: Session) -> Json:
    """Without the message-content intent a bot reads only its own, direct, and mentioning messages."""
    mine = session.user["id"]
    if (
        not kind.startswith("MESSAGE_")
        or "content" not in data
        or session.intents & protocol.INTENT_CONTENT
        or not channel.get("guild_id")
        or data["author"]["id"] == mine
        or any(mentioned["id"] == mine for mentioned in data["mentions"])
    ):
        return data
    return {**data, "content": "", "embeds": [], "attachments": [], "components": []}


def _compressor(kind: str | None) -> Compress | None:
    """The transport compression a client asked for; one stream for the whole socket."""
    if kind == "zlib-stream":
        stream = zlib.compressobj()
        return lambda data: stream.compress(data) + stream.flush(zlib.Z_SYNC_FLUSH)
    if kind == "zstd-stream":
        # Optional, and clients ask for it only where it is installed.
        zstandard = importlib.import_module("zstandard")
        zstd = zstandard.ZstdCompressor().compressobj()
        return lambda data: bytes(zstd.compress(data) + zstd.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK))
    return None
