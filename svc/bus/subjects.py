"""Subjects: five tokens, `<kind>.<a>.<b>.<turn>.<n>`, built and parsed here and nowhere else.

Because the turn is always the fourth token, `nats sub '*.*.*.<turn>.*'` shows one whole turn.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import re

TOKEN_CHARS_MAX = 64
TOKEN = re.compile(rf"[A-Za-z0-9_-]{{1,{TOKEN_CHARS_MAX}}}")
"""The only thing that ever becomes part of a subject."""
ID_BYTES = 8
"""64 bits: at 500 turns a second, two ids collide within a stream's 24 h once in 20,000 days."""


@dataclasses.dataclass(frozen=True, slots=True)
class Subject:
    """A parsed subject; `str()` gives it back."""

    kind: str
    a: str
    b: str
    turn: str
    n: str

    def __str__(self) -> str:
        return f"{self.kind}.{self.a}.{self.b}.{self.turn}.{self.n}"


def build(kind: str, a: str, b: str, turn: str, n: int | str = 0) -> str:
    """Join five tokens. Raises ValueError for a token with anything but letters, digits, `_` and `-`."""
    tokens = (kind, a, b, turn, str(n))
    for token in tokens:
        if not TOKEN.fullmatch(token):
            raise ValueError(f"{token!r} can't be part of a subject: use 1 to 64 of A-Z a-z 0-9 _ -")
    return ".".join(tokens)


def parse(subject: str) -> Subject:
    """Split a subject of ours. Raises ValueError for anything that is not five clean tokens."""
    tokens = subject.split(".")
    if len(tokens) != 5 or not all(map(TOKEN.fullmatch, tokens)):
        raise ValueError(f"{subject!r} is not a subject of ours (five tokens)")
    return Subject(*tokens)


def short_hash(*parts: str) -> str:
    """13 lower-case letters and digits that stand for `parts`; boundaries count."""
    hashed = hashlib.blake2b(digest_size=ID_BYTES)
    for part in parts:
        piece = part.encode()
        hashed.update(len(piece).to_bytes(4, "big") + piece)
    return base64.b32hexencode(hashed.digest()).decode().rstrip("=").lower()


def message_id(surface: str, native: str) -> str:
    """The bus id of a surface's message, whatever characters its own id has."""
    return short_hash("message", surface, native)


def turn_id(surface: str, native: str, character: str, revision: int = 0) -> str:
    """The id of the turn in which `character` answers that message (as last edited)."""
    return short_hash("turn", surface, native, character, str(revision))


def request(service: str, method: str, turn: str, n: int | str = 0) -> str:
    return build("req", service, method, turn, n)


def reply(service: str, method: str, turn: str, n: int | str = 0) -> str:
    return build("rep", service, method, turn, n)


def reply_of(request_subject: str) -> str:
    """`rep.…` of a `req.…`."""
    return "rep" + request_subject.removeprefix("req")


def request_of(reply_subject: str) -> str:
    """`req.…` of a `rep.…`."""
    return "req" + reply_subject.removeprefix("rep")


def got_of(reply_subject: str) -> str:
    """`got.…`, under which the broker republishes a stored `rep.…`."""
    return "got" + reply_subject.removeprefix("rep")


def log_of(request_subject: str) -> str:
    """`log.…`, under which the broker keeps a copy of a stored `req.…`."""
    return "log" + request_subject.removeprefix("req")


def reply_of_got(got_subject: str) -> str:
    return "rep" + got_subject.removeprefix("got")


def event(noun: str, verb: str, turn: str, n: int | str = 0) -> str:
    return build("evt", noun, verb, turn, n)


def turn(origin: str, character: str, turn_: str, n: int | str = 0) -> str:
    return build("turn", origin, character, turn_, n)


def later(origin: str, character: str, turn_: str, n: int | str = 0) -> str:
    return build("later", origin, character, turn_, n)


def say(surface: str, character: str, turn_: str, n: int | str = 0) -> str:
    return build("say", surface, character, turn_, n)


def token(service: str, method: str, turn_: str, n: int | str = 0) -> str:
    return build("tok", service, method, turn_, n)


def dead(kind: str, service: str, turn_: str, n: int | str = 0) -> str:
    return build("dead", kind, service, turn_, n)


def of_turn(turn_: str, kind: str = "*") -> str:
    """The pattern of everything that carries this turn's id."""
    if not TOKEN.fullmatch(turn_):
        raise ValueError(f"{turn_!r} is not a turn id")
    return f"{kind}.*.*.{turn_}.*"


def matches(pattern: str, subject: str) -> bool:
    """Whether a NATS pattern (`*` one token, `>` the rest) covers a subject."""
    wanted, given = pattern.split("."), subject.split(".")
    for index, token_ in enumerate(wanted):
        if token_ == ">":
            return len(given) > index
        if index >= len(given) or token_ not in ("*", given[index]):
            return False
    return len(wanted) == len(given)
