"""What went wrong, as an answer: RFC 9457 problem details, each with a remedy.

Every error of every port has this shape, so a script needs one way to read them:
`{"type", "title", "status", "code", "detail", "remedy"}`, and `field` or `turn` where there is one.
"""

from __future__ import annotations

import http
from collections.abc import Mapping

import msgspec
from aiohttp import web

from svc import errors
from svc.bus import errors as bus_errors

CONTENT_TYPE = "application/problem+json"
RETRY_AFTER_S = 5
"""What is full or away now is asked again after this; a breaker or a restart needs about as long."""

REFUSALS = {
    "unknown_character": (404, "GET /api/cast on the router's port lists the characters there are."),
    "deadline_passed": (
        504,
        "Ask again under a new `native`; if it lasts, see GET /services/health.",
    ),
    "no_outcome": (504, "It may still end: look at GET /api/turns/TURN, or run `quahog turn TURN`."),
    "buried": (500, "It failed for good and lies in DEAD with the reason."),
    "bad_reply": (500, "Services of different versions are running: restart them."),
    "reply_too_large": (500, "Ask for less at once."),
}
"""Code of a refusal -> status and what to do. Any other is the caller's: 422."""


class Problem(errors.QuahogError):
    """An error on its way to becoming a response."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        remedy: str,
        *,
        field: str = "",
        turn: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.remedy = remedy
        self.field = field
        self.turn = turn
        self.headers = dict(headers or {})

    def response(self) -> web.Response:
        body: dict[str, str | int] = {
            "type": f"urn:quahog:problem:{self.code}",
            "title": http.HTTPStatus(self.status).phrase,
            "status": self.status,
            "code": self.code,
            "detail": self.detail,
            "remedy": self.remedy,
        }
        body |= {name: value for name, value in (("field", self.field), ("turn", self.turn)) if value}
        return web.Response(
            status=self.status,
            body=msgspec.json.encode(body) + b"\n",
            content_type=CONTENT_TYPE,
            headers=self.headers,
        )


def of_bus(error: bus_errors.BusError, *, turn: str = "") -> Problem:
    """What a failed call means to somebody who came by HTTP."""
    later = {"Retry-After": str(RETRY_AFTER_S)}
    match error:
        case bus_errors.Refused():
            status, remedy = REFUSALS.get(error.code, (422, "Change the request as the detail says."))
            return Problem(status, error.code, str(error), remedy, turn=turn)
        case bus_errors.Overloaded():
            remedy = "Nothing was started. Send it again after the seconds in Retry-After."
            return Problem(429, "overloaded", f"Too much going on: {error}", remedy, headers=later, turn=turn)
        case bus_errors.NoReply():
            remedy = "GET /services/health on the router's port says what is missing."
            if turn:
                remedy = f"It may still run: GET /api/turns/{turn} on the router's port shows how it ended."
            return Problem(504, "no_reply", f"No answer in time: {error}", remedy, turn=turn)
        case _:
            remedy = "Nothing was started. See GET /services/health, then send it again."
            return Problem(503, "not_accepted", str(error), remedy, headers=later, turn=turn)


def of_http(error: web.HTTPException) -> Problem:
    """aiohttp's own refusals (no such path, wrong method, body too large), in our shape."""
    known = {
        404: ("not_found", "There is nothing at this path.", "docs/http.md lists every path of every port."),
        405: ("method_not_allowed", "This path has no such method.", "Use a method of the Allow header."),
        413: ("too_large", "The body is too large.", "Send at most 64 KiB."),
    }
    code, detail, remedy = known.get(error.status, ("http_error", error.reason, "See docs/http.md."))
    headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
    return Problem(error.status, code, detail, remedy, headers=headers)
