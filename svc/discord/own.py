"""Looking for our own message in a channel: did an earlier delivery post this already?"""

from __future__ import annotations

import datetime
from collections.abc import Set

import discord

from svc.discord import refusal

HISTORY_MAX = 200
"""Messages looked through; two requests."""
CLOCK_SKEW_S = 30.0
"""How much the clocks of the broker and of Discord may differ."""


async def find(
    channel: discord.abc.Messageable,
    user: int,
    text: str,
    reply_to: str,
    *,
    since: float,
    taken: Set[str],
) -> discord.Message | None:
    """The message by `user` with this text that answers the same message and isn't in `taken` (native ids).

    `since`: Unix seconds before which it can't have been posted. Raises Undelivered `unsure` where the
    history can't be read or is too long, and whatever else discord.py raises.
    """
    start = datetime.datetime.fromtimestamp(since - CLOCK_SKEW_S, datetime.UTC)
    seen = 0
    try:
        async for message in channel.history(limit=HISTORY_MAX, after=start, oldest_first=True):
            seen += 1
            if message.author.id == user and str(message.id) not in taken and _same(message, text, reply_to):
                return message
    except discord.Forbidden as error:
        detail = f"{error.code} {error.text}: allow Read Message History there"
        raise refusal.Undelivered("unsure", detail) from error
    if seen == HISTORY_MAX:
        raise refusal.Undelivered("unsure", f"more than {HISTORY_MAX} messages since")
    return None


def _same(message: discord.Message, text: str, reply_to: str) -> bool:
    """Discord trims messages, and posts without a reference when the message to answer is gone."""
    reference = message.reference.message_id if message.reference else None
    return message.content.strip() == text.strip() and (reference is None or str(reference) == reply_to)
