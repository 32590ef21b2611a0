"""W3C trace context: one `traceparent` per turn, carried on every subject.

https://www.w3.org/TR/trace-context/#traceparent-header — version 00, a 16-byte trace id, an 8-byte span id.
"""

from __future__ import annotations

import contextlib
import contextvars
import hashlib
import re
import secrets
from collections.abc import Iterator, Mapping

from svc.bus import broker

FORM = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}", re.ASCII)
_current: contextvars.ContextVar[str] = contextvars.ContextVar("traceparent", default="")


def of_turn(turn: str) -> str:
    """A traceparent whose trace id is derived from the turn, so that every process agrees on it."""
    trace_id = hashlib.blake2b(turn.encode(), digest_size=16).hexdigest()
    return f"00-{trace_id}-{secrets.token_hex(8)}-01"


def given(headers_: Mapping[str, str]) -> str:
    """The trace of a message; "" where it has none, or something else under that name: it is sent on."""
    value = headers_.get(broker.TRACEPARENT, "")
    return value if FORM.fullmatch(value) else ""


def headers() -> dict[str, str]:
    """What to send along: the current trace, if there is one."""
    current = _current.get()
    return {broker.TRACEPARENT: current} if current else {}


@contextlib.contextmanager
def active(traceparent: str) -> Iterator[None]:
    """Everything sent inside the block belongs to this trace ("" = to none)."""
    token = _current.set(traceparent)
    try:
        yield
    finally:
        _current.reset(token)
