"""Reading what people send: JSON bodies into structs, and text without control characters."""

from __future__ import annotations

import re
import unicodedata
from typing import TypeVar

import msgspec
from aiohttp import web

from svc.bridge import problem

S = TypeVar("S", bound=msgspec.Struct)

BODY_BYTES_MAX = 64 * 1024
"""The longest text is 4,000 characters, 48 kB if every one were escaped; anything larger is a mistake."""
NAME_CHARS_MAX = 64

MISSING = re.compile(r"missing required field `(?P<field>\w+)`")
PATH = re.compile(r"at `\$\.?(?P<path>[^`]*)`")


async def read(request: web.Request, kind: type[S]) -> S:
    """The request's JSON body as `kind`. Raises Problem 400 (with `field`), 413 or 415."""
    if request.content_type != "application/json":
        raise problem.Problem(
            415,
            "not_json",
            f"The body is sent as {request.content_type}.",
            "Send JSON: curl --json '{…}' does, or add -H 'Content-Type: application/json'.",
        )
    data = await request.read()
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.ValidationError as error:
        field = _field(str(error))
        remedy = f"Correct {field!r} and send it again." if field else "Send a JSON object; see docs/http.md."
        raise problem.Problem(400, "invalid", str(error), remedy, field=field) from None
    except msgspec.DecodeError as error:
        raise problem.Problem(
            400, "invalid_json", f"The body is not JSON: {error}", "Check quotes and commas.", field=""
        ) from None


def text(given: str, *, most: int) -> str:
    """`given` without control characters (newline and tab stay), trimmed. Raises Problem 400 for `text`."""
    kept = "".join(
        char
        for char in given.replace("\r\n", "\n").replace("\r", "\n")
        if char in "\n\t" or unicodedata.category(char) != "Cc"
    ).strip()
    if not kept:
        raise problem.Problem(400, "empty", "There is no text.", "Write something.", field="text")
    if len(kept) > most:
        raise problem.Problem(
            400,
            "too_long",
            f"The text has {len(kept):,} characters.",
            f"Send at most {most:,}.",
            field="text",
        )
    return kept


def name(given: str) -> str:
    """A display name on one line. It is data, so it may be nearly anything. Raises Problem 400 for `name`."""
    kept = " ".join("".join(" " if unicodedata.category(char) == "Cc" else char for char in given).split())
    if len(kept) > NAME_CHARS_MAX:
        raise problem.Problem(
            400,
            "too_long",
            f"The name has {len(kept)} characters.",
            f"Use at most {NAME_CHARS_MAX}.",
            field="name",
        )
    return kept


def _field(message: str) -> str:
    """The dotted path of the field a validation error is about, "" for the body itself."""
    path, missing = PATH.search(message), MISSING.search(message)
    parts = [path["path"] if path else "", missing["field"] if missing else ""]
    return ".".join(filter(None, parts))
