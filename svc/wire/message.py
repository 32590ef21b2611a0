"""What was heard, what was posted, and the line of history both become."""

from __future__ import annotations

from typing import Literal

from svc.wire.base import Wire


class Author(Wire, frozen=True, kw_only=True):
    """Who spoke. The name is data shown to the model, never an instruction and never an identity."""

    id: str
    name: str = ""
    bot: bool = False


class Heard(Wire, frozen=True, kw_only=True):
    """`evt.message.heard.<message>.<revision>`: a surface heard somebody say something."""

    message: str
    """Bus id of the message: `subjects.message_id(surface, native)`."""
    native: str
    """The surface's own id (a Discord snowflake, a console id)."""
    surface: str
    channel: str
    """Scoped channel id, `<surface>-<native channel>`: two surfaces never share a history."""
    author: Author
    text: str
    guild: str = ""
    to: tuple[str, ...] = ()
    """Character ids the surface knows to be addressed (a mention, the console's picker); empty = unknown."""
    reply_to: str = ""
    """Native id of the message this one answers."""
    at: float = 0.0
    """Unix seconds, the surface's clock."""
    revision: int = 0
    """0 as first said, +1 an edit."""


class Posted(Wire, frozen=True, kw_only=True):
    """`evt.message.posted.<turn>.<piece>`: the receipt of one posted piece. Only these become history."""

    turn: str
    piece: int
    surface: str
    channel: str
    character: str
    text: str
    guild: str = ""
    native: str = ""
    """The surface's id of the posted message."""
    reply_to: str = ""
    at: float = 0.0
    notice: bool = False
    """True for an honest line of ours (fallback, busy) rather than an answer of the model."""


class Utterance(Wire, frozen=True, kw_only=True):
    """One line of a channel's history: something really said, by a person or by one of the cast."""

    id: str
    """Bus id of the message (`Heard.message`, or `<turn>-<piece>` for our own)."""
    author: Author
    text: str
    character: str = ""
    """Set when one of the cast said it."""
    at: float = 0.0
    notice: bool = False


class Say(Wire, frozen=True, kw_only=True):
    """`say.<surface>.<character>.<turn>.<n>`: post this."""

    turn: str
    surface: str
    channel: str
    character: str
    text: str
    guild: str = ""
    reply_to: str = ""
    """Native id of the message to answer."""
    notice: bool = False
    expires_at: float = 0.0
    """Unix seconds; later than this it is recorded as expired instead of posted."""


class Undelivered(Wire, frozen=True, kw_only=True):
    """`evt.turn.undelivered.<turn>.<piece>`: from this piece on, nothing of the turn was posted."""

    turn: str
    piece: int
    channel: str
    character: str
    reason: Literal["expired", "forbidden", "unknown_channel", "unsure"]
    """`unsure`: it may have been posted before, and the channel's history couldn't say."""
    guild: str = ""
    detail: str = ""
    """One line for a person."""
    at: float = 0.0
