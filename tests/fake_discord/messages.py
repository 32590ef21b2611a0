"""What is written: posting, editing, deleting, reacting, and who is told about it."""

from __future__ import annotations

import re
import time
from typing import Any

from tests.fake_discord import gateway, protocol, world
from tests.fake_discord.protocol import Json

USER_MENTION = re.compile(r"<@!?(\d+)>")
ROLE_MENTION = re.compile(r"<@&(\d+)>")
EDITABLE = ("content", "embeds", "components", "flags")


class Messages:
    """Every message by id, and the nonces that still protect against posting twice."""

    def __init__(self, world_: world.World, gateway_: gateway.Gateway, nonce_memory_s: float) -> None:
        self.world = world_
        self.gateway = gateway_
        self.nonce_memory_s = nonce_memory_s
        self.by_id: dict[str, Json] = {}
        self._nonces: dict[tuple[str, str, str], tuple[str, float]] = {}
        """(author, channel, nonce) -> (message id, when it was posted)."""

    def find(self, channel_id: str, message_id: str) -> Json:
        message = self.by_id.get(message_id)
        if message is None or message["channel_id"] != channel_id:
            raise protocol.ApiError(404, 10008, "Unknown Message")
        return message

    def history(self, channel_id: str, before: int, after: int | None, limit: int) -> list[Json]:
        """Newest first. With `after` they are the `limit` oldest that qualify, without the newest."""
        found = [
            message
            for message in self.by_id.values()
            if message["channel_id"] == channel_id and (after or 0) < int(message["id"]) < before
        ]
        found.sort(key=lambda message: int(message["id"]))
        return found[::-1][:limit] if after is None else found[:limit][::-1]

    async def post(self, author: Json, channel: Json, body: Json, **fields: Any) -> Json:
        """Post, unless the same author used the same nonce here a moment ago: then that message again."""
        nonce = body.get("nonce")
        if nonce is not None and len(str(nonce)) > protocol.NONCE_CHARS_MAX:
            raise protocol.invalid_form("nonce", "NONCE_TYPE_TOO_LONG", "too long")
        key = (author["id"], channel["id"], str(nonce))
        if nonce is not None and body.get("enforce_nonce"):
            message_id, at = self._nonces.get(key, ("", 0.0))
            if message_id in self.by_id and time.time() - at < self.nonce_memory_s:
                return self.by_id[message_id]
        message = self.build(author, channel, body, **fields)
        if nonce is not None:
            message["nonce"] = nonce
            self._nonces[key] = message["id"], time.time()
        self.by_id[message["id"]] = message
        channel["last_message_id"] = message["id"]
        event = self._as_event(message)
        await self.gateway.dispatch("MESSAGE_CREATE", event, channel, protocol.INTENT_MESSAGES)
        return message

    async def edit(self, message: Json, body: Json) -> Json:
        _check_length(body)
        changes = {name: body[name] for name in EDITABLE if body.get(name) is not None}
        message.update(changes, edited_timestamp=protocol.timestamp())
        channel = self.world.channels[message["channel_id"]]
        event = self._as_event(message)
        await self.gateway.dispatch("MESSAGE_UPDATE", event, channel, protocol.INTENT_MESSAGES)
        return message

    async def delete(self, channel_id: str, message_id: str) -> None:
        self.find(channel_id, message_id)
        del self.by_id[message_id]
        channel = self.world.channel(channel_id)
        event = {"id": message_id, "channel_id": channel_id, "guild_id": channel.get("guild_id")}
        await self.gateway.dispatch("MESSAGE_DELETE", event, channel, protocol.INTENT_MESSAGES)

    async def react(self, user: Json, channel_id: str, message_id: str, emoji: str, *, added: bool) -> None:
        message, channel = self.find(channel_id, message_id), self.world.channel(channel_id)
        event = {
            "user_id": user["id"],
            "channel_id": channel_id,
            "message_id": message_id,
            "emoji": {"id": None, "name": emoji},
            "message_author_id": message["author"]["id"],
            "burst": False,
            "type": 0,
            **self.world.member(channel, user["id"]),
        }
        kind = "MESSAGE_REACTION_ADD" if added else "MESSAGE_REACTION_REMOVE"
        await self.gateway.dispatch(kind, event, channel, protocol.INTENT_REACTIONS)

    def build(self, author: Json, channel: Json, body: Json, **fields: Any) -> Json:
        """The message Discord would make of a request body; `fields` are what only some messages have."""
        _check_length(body)
        text = body.get("content") or ""
        files = body.get("_files", [])
        if not (text or files or any(body.get(part) for part in ("embeds", "components", "sticker_ids"))):
            raise protocol.ApiError(400, 50006, "Cannot send an empty message")
        allowed: Json | None = body.get("allowed_mentions")
        mentioned = list(dict.fromkeys(USER_MENTION.findall(text)))
        if allowed is not None and "users" not in allowed.get("parse", []):
            named = {str(user_id) for user_id in allowed.get("users", [])}
            mentioned = [user_id for user_id in mentioned if user_id in named]
        everyone = allowed is None or "everyone" in allowed.get("parse", [])
        roles = allowed is None or "roles" in allowed.get("parse", [])
        message: Json = {
            "id": self.world.snowflake(),
            "channel_id": channel["id"],
            "author": author,
            "content": text,
            "timestamp": protocol.timestamp(),
            "edited_timestamp": None,
            "tts": False,
            "type": 0,
            "flags": body.get("flags", 0),
            "pinned": False,
            "mention_everyone": bool(re.search("@everyone|@here", text)) and everyone,
            "mention_roles": list(dict.fromkeys(ROLE_MENTION.findall(text))) if roles else [],
            "embeds": body.get("embeds", []),
            "components": body.get("components", []),
            "reactions": [],
            "attachments": [self._attachment(file) for file in files],
            "sticker_items": body.get("sticker_items", []),
        }
        if reference := body.get("message_reference"):
            answered = self.by_id.get(str(reference["message_id"]))
            if answered is None and reference.get("fail_if_not_exists", True):
                raise protocol.invalid_form("message_reference", "REPLIES_UNKNOWN_MESSAGE", "Unknown message")
            message |= {
                "type": protocol.MESSAGE_REPLY,
                "message_reference": {
                    "message_id": str(reference["message_id"]),
                    "channel_id": channel["id"],
                },
                "referenced_message": answered,
            }
            if answered and (allowed or {}).get("replied_user", allowed is None):
                mentioned.append(answered["author"]["id"])
        users = self.world.users
        message["mentions"] = [users[user_id] for user_id in dict.fromkeys(mentioned) if user_id in users]
        return message | fields

    def _attachment(self, file: Json) -> Json:
        url = f"http://127.0.0.1/{file['filename']}"
        return {"id": self.world.snowflake(), "url": url, "proxy_url": url, **file}

    def _as_event(self, message: Json) -> Json:
        """As the gateway sends it: plus guild_id, and the member records of author and mentioned."""
        guild_id = self.world.channels[message["channel_id"]].get("guild_id")
        if not guild_id:
            return message

        def member(user_id: str) -> Json:
            record = self.world.members[guild_id].get(user_id, {"roles": [], "flags": 0})
            return {name: value for name, value in record.items() if name != "user"}

        event = {**message, "guild_id": guild_id}
        event["mentions"] = [{**user, "member": member(user["id"])} for user in message["mentions"]]
        if "webhook_id" not in message:
            event["member"] = member(message["author"]["id"])
        return event


def _check_length(body: Json) -> None:
    if len(body.get("content") or "") > protocol.CONTENT_CHARS_MAX:
        raise protocol.invalid_form("content", "BASE_TYPE_MAX_LENGTH", "Must be 2000 or fewer in length.")
