"""Who and what there is: users with their tokens, guilds with their members, channels."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from typing import Any

from tests.fake_discord import protocol
from tests.fake_discord.protocol import Json


class World:
    """Everything that outlives a connection, keyed by snowflake; the objects are Discord's own JSON."""

    def __init__(self) -> None:
        self.users: dict[str, Json] = {}
        self.tokens: dict[str, Json] = {}
        """Token -> its user."""
        self.privileged: dict[str, int] = {}
        """User id -> the privileged intents switched on for its application."""
        self.guilds: dict[str, Json] = {}
        self.members: dict[str, dict[str, Json]] = {}
        """Guild id -> user id -> member."""
        self.channels: dict[str, Json] = {}
        self.denied: set[tuple[str, str]] = set()
        """(user id, channel id) without Send Messages."""
        self._ids = itertools.count(1)

    def number(self) -> int:
        """1, 2, 3, …: never the same twice."""
        return next(self._ids)

    def snowflake(self) -> str:
        elapsed_ms = int(time.time() * 1000) - protocol.EPOCH_MS
        return str(elapsed_ms << 22 | self.number() & 0x3FFFFF)

    def add_user(
        self, name: str, *, bot: bool = False, token: str = "", privileged: int = protocol.PRIVILEGED
    ) -> Json:
        """A person or a bot. Its token is `tok-<name>` unless one is given."""
        user: Json = {
            "id": self.snowflake(),
            "username": name,
            "discriminator": "0",
            "global_name": name,
            "avatar": None,
            "bot": bot,
            "public_flags": 0,
        }
        self.users[user["id"]] = user
        self.tokens[token or f"tok-{name}"] = user
        self.privileged[user["id"]] = privileged
        return user

    def add_guild(self, name: str, owner: Json, users: Sequence[Json]) -> Json:
        guild_id = self.snowflake()
        guild: Json = {
            "id": guild_id,
            "name": name,
            "owner_id": owner["id"],
            "roles": [role(guild_id, "@everyone")],
            "emojis": [],
            "features": [],
            "verification_level": 0,
            "default_message_notifications": 0,
            "explicit_content_filter": 0,
            "afk_timeout": 300,
            "preferred_locale": "en-US",
        }
        self.guilds[guild_id] = guild
        self.members[guild_id] = {
            user["id"]: {
                "user": user,
                "roles": [],
                "joined_at": protocol.timestamp(),
                "deaf": False,
                "mute": False,
                "flags": 0,
            }
            for user in users
        }
        return guild

    def add_bot_role(self, guild: Json, bot: Json) -> Json:
        """The role Discord itself makes for an invited bot, named like it."""
        added = role(self.snowflake(), bot["username"]) | {"managed": True, "tags": {"bot_id": bot["id"]}}
        guild["roles"].append(added)
        return added

    def add_channel(self, guild: Json, name: str, type_: int = protocol.CHANNEL_TEXT, **fields: Any) -> Json:
        """`fields`: whatever else the channel's JSON has, such as `parent_id` of a thread."""
        channel: Json = {
            "id": self.snowflake(),
            "type": type_,
            "guild_id": guild["id"],
            "name": name,
            "position": 0,
            "permission_overwrites": [],
            "parent_id": None,
            "nsfw": False,
            **fields,
        }
        self.channels[channel["id"]] = channel
        return channel

    def direct_channel(self, one: Json, other_id: str) -> Json:
        """The DM channel of two users, made where there is none yet."""
        both = {one["id"], other_id}
        for channel in self.channels.values():
            if channel["type"] == protocol.CHANNEL_DM and {u["id"] for u in channel["recipients"]} == both:
                return channel
        made: Json = {
            "id": self.snowflake(),
            "type": protocol.CHANNEL_DM,
            "recipients": [self.users[user_id] for user_id in both],
            "last_message_id": None,
        }
        self.channels[made["id"]] = made
        return made

    def channel(self, channel_id: str) -> Json:
        if channel_id not in self.channels:
            raise protocol.ApiError(404, 10003, "Unknown Channel")
        return self.channels[channel_id]

    def member(self, channel: Json, user_id: str) -> Json:
        """`guild_id` and `member` of a user as events carry them; empty in a DM."""
        guild_id = channel.get("guild_id")
        return {"guild_id": guild_id, "member": self.members[guild_id][user_id]} if guild_id else {}

    def audience(self, channel: Json) -> set[str]:
        """Ids of the users who see what happens in a channel."""
        if guild_id := channel.get("guild_id"):
            return set(self.members[guild_id])
        return {user["id"] for user in channel["recipients"]}


def role(role_id: str, name: str) -> Json:
    return {
        "id": role_id,
        "name": name,
        "permissions": protocol.ALL_PERMISSIONS,
        "position": 0,
        "color": 0,
        "hoist": False,
        "managed": False,
        "mentionable": False,
        "flags": 0,
    }
