"""Which character this process is, and how it gets into Discord."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Annotated

import msgspec

from svc import config, errors
from svc.bus import subjects

CHARACTER = "CHARACTER"
TOKEN = "DISCORD_TOKEN"
NONCE_MEMORY_S = 120.0
"""Discord documents "the past few minutes" for a nonce; two are the least that can mean."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Read from `QUAHOG_<FIELD>`; the first two also have the short names people know."""

    character: str
    """Also `CHARACTER`."""
    discord_token: str
    """`DISCORD_TOKEN_<CHARACTER>`, or `DISCORD_TOKEN` where there is only one character."""
    discord_api: str = ""
    """REST API of a compatible server (`http://127.0.0.1:8399/api/v10`); "" = Discord itself."""
    discord_gateway: str = ""
    """Gateway of a compatible server (`ws://127.0.0.1:8399/`)."""
    discord_nonce_memory_s: Annotated[float, msgspec.Meta(ge=0.0)] = NONCE_MEMORY_S
    """How long Discord surely remembers a nonce; a later redelivery looks into the channel first."""


def token_name(character: str) -> str:
    """The environment variable with a character's token: `DISCORD_TOKEN_PETER`."""
    return f"{TOKEN}_{re.sub(r'[^A-Za-z0-9]', '_', character).upper()}"


def read(environ: Mapping[str, str] | None = None) -> Settings:
    """The settings of this process.

    Raises ConfigError naming the variable that is missing or wrong; it never contains the token.
    """
    given = dict(os.environ if environ is None else environ)
    character = given.get(config.PREFIX + CHARACTER) or given.get(CHARACTER, "")
    if not character:
        raise errors.ConfigError(f"{CHARACTER} is not set: say who to be, such as {CHARACTER}=peter")
    if not subjects.TOKEN.fullmatch(character):
        raise errors.ConfigError(f"{CHARACTER} {character!r} is wrong: use 1 to 64 of A-Z a-z 0-9 _ -")
    token = (given.get(token_name(character)) or given.get(TOKEN, "")).strip().removeprefix("Bot ")
    if not token:
        raise errors.ConfigError(
            f"{token_name(character)} is not set: put the bot token of {character}'s application into .env "
            "(docs/discord.md says where to get it)"
        )
    given |= {f"{config.PREFIX}{CHARACTER}": character, f"{config.PREFIX}{TOKEN}": token}
    read_ = config.read(Settings, given)
    if bool(read_.discord_api) != bool(read_.discord_gateway):
        raise errors.ConfigError(
            "QUAHOG_DISCORD_API and QUAHOG_DISCORD_GATEWAY belong together: set both or neither"
        )
    return read_
