"""Slash commands and buttons: registering, using, and answering them within Discord's time limits."""

from __future__ import annotations

import dataclasses
import time
from typing import Any

from tests.fake_discord import protocol, rest
from tests.fake_discord.protocol import Json

FIRST_ANSWER_S = 3.0
CALLBACK_MESSAGE = 4
CALLBACK_DEFERRED = 5


@dataclasses.dataclass(slots=True)
class Interaction:
    """Somebody used a command or a button; lives under its token."""

    id: str
    type: int
    application_id: str
    channel: Json
    user: Json
    at: float
    acknowledged: bool = False
    deferred_flags: int = 0
    message: Json | None = None
    """The original answer, once there is one."""


class Interactions:
    def __init__(self) -> None:
        self.commands: dict[tuple[str, str], list[Json]] = {}
        """(application id, guild id or "") -> commands as registered."""
        self.by_token: dict[str, Interaction] = {}

    def find(self, token: str) -> Interaction:
        if token not in self.by_token:
            raise protocol.ApiError(404, 10015, "Unknown Webhook")
        return self.by_token[token]


async def register(call: rest.Call) -> rest.Answer:
    """Replace an application's commands, everywhere or in one guild."""
    application_id, guild_id = call.path["application"], call.path.get("guild", "")
    defaults: Json = {
        "type": 1,
        "description": "",
        "dm_permission": True,
        "default_member_permissions": None,
        "nsfw": False,
    }
    made = []
    for command in call.body["_list"]:
        identity = {"id": call.discord.world.snowflake(), "application_id": application_id, "version": "1"}
        made.append({**defaults, **command, **identity, **({"guild_id": guild_id} if guild_id else {})})
    call.discord.interactions.commands[application_id, guild_id] = made
    return made


async def registered(call: rest.Call) -> rest.Answer:
    key = call.path["application"], call.path.get("guild", "")
    return call.discord.interactions.commands.get(key, [])


async def use(call: rest.Call) -> rest.Answer:
    """What the official client sends when a person uses a slash command or presses a button."""
    world, body = call.discord.world, call.body
    channel = world.channel(body["channel_id"])
    guild_id: str | None = channel.get("guild_id")
    token = f"interaction{world.number()}"
    made = Interaction(
        id=world.snowflake(),
        type=body["type"],
        application_id=body["application_id"],
        channel=channel,
        user=call.me,
        at=time.time(),
    )
    call.discord.interactions.by_token[token] = made
    event: Json = {
        "id": made.id,
        "application_id": made.application_id,
        "type": made.type,
        "data": body["data"],
        "channel_id": channel["id"],
        "channel": channel,
        "token": token,
        "version": 1,
        "locale": "en-US",
        "guild_locale": "en-US",
        "entitlements": [],
        "authorizing_integration_owners": {"0": guild_id or "0"},
        "context": 0 if guild_id else 1,
        "app_permissions": protocol.ALL_PERMISSIONS,
        "attachment_size_limit": 10 << 20,
    }
    if guild_id:
        member = {**world.members[guild_id][call.me["id"]], "permissions": protocol.ALL_PERMISSIONS}
        guild = {"id": guild_id, "locale": "en-US", "features": []}
        event |= {"guild_id": guild_id, "guild": guild, "member": member}
    else:
        event["user"] = call.me
    if message_id := body.get("message_id"):
        event["message"] = call.discord.messages.by_id[message_id]
    await call.discord.gateway.tell(made.application_id, "INTERACTION_CREATE", event)
    return None


async def callback(call: rest.Call) -> rest.Answer:
    """The first answer: once, and within three seconds."""
    found, data = call.discord.interactions.find(call.path["token"]), call.body.get("data") or {}
    if time.time() - found.at > FIRST_ANSWER_S:
        raise protocol.ApiError(404, 10062, "Unknown interaction")
    if found.acknowledged:
        raise protocol.ApiError(400, 40060, "Interaction has already been acknowledged.")
    found.acknowledged = True
    kind, flags = call.body["type"], data.get("flags", 0)
    if kind == CALLBACK_MESSAGE:
        found.message = await _post(call, found, data)
    elif kind == CALLBACK_DEFERRED:
        found.deferred_flags = flags
    if call.query.get("with_response", "").lower() not in ("1", "true"):
        return None
    interaction: Json = {
        "id": found.id,
        "type": found.type,
        "response_message_loading": kind == CALLBACK_DEFERRED,
        "response_message_ephemeral": bool(flags & protocol.EPHEMERAL),
    }
    resource: Json = {"type": kind}
    if found.message:
        interaction["response_message_id"] = found.message["id"]
        resource["message"] = found.message
    return {"interaction": interaction, "resource": resource}


async def follow_up(call: rest.Call) -> rest.Answer:
    return await _post(call, call.discord.interactions.find(call.path["token"]), call.body)


async def original(call: rest.Call) -> rest.Answer:
    found = call.discord.interactions.find(call.path["token"])
    if found.message is None:
        raise protocol.ApiError(404, 10008, "Unknown Message")
    return found.message


async def edit_original(call: rest.Call) -> rest.Answer:
    """Edit the first answer, or give the one that was deferred."""
    found = call.discord.interactions.find(call.path["token"])
    if found.message:
        return await call.discord.messages.edit(found.message, call.body)
    found.message = await _post(call, found, {**call.body, "flags": found.deferred_flags})
    return found.message


async def _post(call: rest.Call, found: Interaction, body: Json) -> Json:
    bot = call.discord.world.users[found.application_id]
    fields: dict[str, Any] = {
        "webhook_id": found.application_id,
        "application_id": found.application_id,
        "interaction_metadata": {
            "id": found.id,
            "type": found.type,
            "user": found.user,
            "authorizing_integration_owners": {},
        },
    }
    messages = call.discord.messages
    if not body.get("flags", 0) & protocol.EPHEMERAL:
        return await messages.post(bot, found.channel, body, **fields)
    message = messages.build(bot, found.channel, body, **fields)  # only who asked sees it: no event
    messages.by_id[message["id"]] = message
    return message


APPLICATION = "/applications/{application}"
WEBHOOK = "/webhooks/{application}/{token}"

ROUTES = (
    rest.Route("PUT", f"{APPLICATION}/commands", register),
    rest.Route("PUT", f"{APPLICATION}/guilds/{{guild}}/commands", register),
    rest.Route("GET", f"{APPLICATION}/commands", registered),
    rest.Route("GET", f"{APPLICATION}/guilds/{{guild}}/commands", registered),
    rest.Route("POST", "/interactions", use),
    rest.Route("POST", "/interactions/{interaction}/{token}/callback", callback, authorised=False),
    rest.Route("POST", WEBHOOK, follow_up, authorised=False),
    rest.Route("GET", f"{WEBHOOK}/messages/@original", original, authorised=False),
    rest.Route("PATCH", f"{WEBHOOK}/messages/@original", edit_original, authorised=False),
)
