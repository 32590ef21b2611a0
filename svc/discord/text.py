"""Text on its way in and out: what a person reads on the screen instead of Discord's markup, and no pings."""

from __future__ import annotations

import re

import discord

from svc.discord import graphemes
from svc.wire import router

NAME_CHARS_MAX = 64
"""Display names have at most 32; the rest is for what Discord may allow one day."""

CUSTOM_EMOJI = re.compile(r"<a?(:\w{1,32}:)\d{15,20}>")
COMMAND_MENTION = re.compile(r"<(/[^:<>\n]{1,100}):\d{15,20}>")
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
"""Nothing a person types; lone surrogates could not even be encoded. Tab and newline stay."""
LINE_BREAKS = re.compile(r"\s+")
MASS_MENTION = re.compile(r"@(?=everyone|here)", re.IGNORECASE)
ZERO_WIDTH_SPACE = "\u200b"


def readable(message: discord.Message) -> str:
    """What was said, as a person sees it: names for mentions, `:name:` for custom emoji, files in brackets.

    At most `router.TEXT_CHARS_MAX` characters; "" when there is nothing to read.
    """
    words = CUSTOM_EMOJI.sub(r"\1", message.clean_content)
    words = CONTROL.sub("", COMMAND_MENTION.sub(r"\1", words)).strip()
    named = [f"[attachment: {_one_line(file.filename)}]" for file in message.attachments]
    named += [f"[sticker: {_one_line(sticker.name)}]" for sticker in message.stickers]
    return cut("\n".join(filter(None, [words, " ".join(named)])), router.TEXT_CHARS_MAX)


def name(user: discord.abc.User) -> str:
    """A display name on one line. It is data: whoever shows it to the model marks it as such."""
    return cut(_one_line(user.display_name), NAME_CHARS_MAX)


def harmless(text: str) -> str:
    """The same to read, but `@everyone` and `@here` in it ping nobody, however it is sent."""
    return MASS_MENTION.sub(f"@{ZERO_WIDTH_SPACE}", text)


def cut(text: str, limit: int) -> str:
    """At most `limit` characters, the last of them whole."""
    if len(text) <= limit:
        return text
    return text[: graphemes.border_before(text, limit)]


def _one_line(text: str) -> str:
    return LINE_BREAKS.sub(" ", CONTROL.sub("", text)).strip()
