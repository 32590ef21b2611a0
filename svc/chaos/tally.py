"""Counting what came out, against what was offered. Pure: it knows no clock, no bus and no HTTP.

The question is what a *person* would have seen, so the rules are those of somebody in front of the page:

- An event that is shown again after a reconnect has the id it had before (its number in the record): it is
  the same post. Anything else that answers the same message for the same character is a second post, even
  with the same words and under the same turn: on a surface that really sends, it would have been sent twice.
- One number with two contents is two posts: something that had been shown was replaced behind our back.
- A line of history carries no number. It is a post that was seen before if turn, piece and words are the
  same, else one more. One of a turn that was never announced to us is left to the receipts.
- A post is matched to what was offered by the message it replies to, its character and its channel, not by
  its turn: an id that the system made itself can't testify that the system made no second one.
- A post for which nobody asked (of an unknown message, or in another channel) is a stray.
- Receipts that are read from the record at the end may convict, never acquit: a second one is a duplicate
  that no page happened to show, but what only the record knows has not been answered.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterable


@dataclasses.dataclass(frozen=True, slots=True)
class Asked:
    """What one character owes one message: an answer."""

    channel: str
    native: str
    character: str


@dataclasses.dataclass(frozen=True, slots=True)
class Post:
    """The content of something posted."""

    turn: str
    piece: int
    text: str


@dataclasses.dataclass(frozen=True, slots=True)
class Verdict:
    """What became of the turns, each in the order in which it was offered."""

    accepted: tuple[Asked, ...]
    answered: tuple[Asked, ...]
    lost: tuple[Asked, ...]
    """Accepted, and nothing was ever shown."""
    duplicated: tuple[Asked, ...]
    """There was more than one post, whether it had been accepted or not."""
    strays: tuple[Post, ...]


class Tally:
    """Fed with everything offered and everything that came out, in any order and as often as it happens."""

    def __init__(self) -> None:
        self._offered: dict[Asked, None] = {}
        self._promised: dict[Asked, str] = {}
        """What was accepted -> the turn that would answer it, as the surface announced it."""
        self._turns: dict[str, Asked] = {}
        """The other way round: a line of history names nothing but its turn."""
        self._shown: set[Asked] = set()
        self._numbered: defaultdict[Asked, set[tuple[int, Post]]] = defaultdict(set)
        self._remembered: defaultdict[Asked, set[Post]] = defaultdict(set)
        self._strays: dict[Post, None] = {}

    def offer(self, asked: Iterable[Asked]) -> None:
        """From now on answers may come: a request may be stored although its response is lost."""
        self._offered |= dict.fromkeys(asked)

    def accept(self, asked: Asked, turn: str) -> None:
        """The surface promised an answer, under this id."""
        self._promised[asked] = turn
        self._turns[turn] = asked

    def show(self, number: int, asked: Asked, post: Post) -> bool:
        """An event of the page, with its number in the record. True when it is the first answer."""
        self.receive(number, asked, post)
        return self._is_first(asked)

    def remember(self, channel: str, post: Post) -> Asked | None:
        """A character's line in the history of a channel. What it answers, when it is the first answer."""
        asked = self._turns.get(post.turn)
        if asked is None:
            return None
        if asked.channel != channel:
            self._strays[post] = None
            return None
        self._remembered[asked].add(post)
        return asked if self._is_first(asked) else None

    def receive(self, number: int, asked: Asked, post: Post) -> None:
        """A receipt in the record, with its number."""
        if asked in self._offered:
            self._numbered[asked].add((number, post))
        else:
            self._strays[post] = None

    def _is_first(self, asked: Asked) -> bool:
        if asked in self._shown or asked not in self._offered:
            return False
        self._shown.add(asked)
        return True

    def missing(self) -> tuple[Asked, ...]:
        """Accepted and not shown, as things stand."""
        missing = self._promised.keys() - self._shown
        return tuple(asked for asked in self._offered if asked in missing)

    def turn_of(self, asked: Asked) -> str:
        """The id under which the system runs it; "" while nobody has told."""
        return self._promised.get(asked, "")

    def verdict(self) -> Verdict:
        accepted = tuple(asked for asked in self._offered if asked in self._promised)
        return Verdict(
            accepted=accepted,
            answered=tuple(asked for asked in accepted if asked in self._shown),
            lost=self.missing(),
            duplicated=tuple(asked for asked in self._offered if self._posts(asked) > 1),
            strays=tuple(self._strays),
        )

    def _posts(self, asked: Asked) -> int:
        numbered = self._numbered.get(asked, set())
        known = {post for _, post in numbered}
        return len(numbered) + len(self._remembered.get(asked, set()) - known)
