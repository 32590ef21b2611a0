"""What stands before every handler, on every port: who may ask, and what every answer carries.

The ports have no password, so the danger is somebody else's web page in the owner's browser. Against a name
that was re-pointed at 127.0.0.1 stands the Host check, against a foreign form or fetch the Origin check,
against injected markup the content security policy.
"""

from __future__ import annotations

import logging
import time
from collections import Counter

from aiohttp import typedefs, web

from svc.bridge import problem, sse
from svc.bus import errors as bus_errors

log = logging.getLogger(__name__)

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Server": "quahog",
}
READING = frozenset({"GET", "HEAD"})


class Guard:
    """Host and origin checks, problem details for every error, security headers, and counting."""

    def __init__(self, hosts: frozenset[str]) -> None:
        self.hosts = hosts
        self.counts: Counter[str] = Counter()
        self.seconds = 0.0

    def middleware(self) -> typedefs.Middleware:
        @web.middleware
        async def guarded(request: web.Request, handler: typedefs.Handler) -> web.StreamResponse:
            start = time.perf_counter()
            try:
                self.check(request)
                response = await handler(request)
            except problem.Problem as error:
                response = error.response()
            except bus_errors.BusError as error:
                response = problem.of_bus(error).response()
            except web.HTTPException as error:
                response = problem.of_http(error).response()
            except Exception:
                log.exception("%s %s failed", request.method, request.path)
                detail, remedy = "This is our fault.", "The log of the bridge has the reason."
                response = problem.Problem(500, "internal", detail, remedy).response()
            # A stream lasts as long as somebody watches: its time would say nothing.
            streamed = response.content_type == sse.TYPE
            self.count(response.status, 0.0 if streamed else time.perf_counter() - start)
            return response

        return guarded

    def check(self, request: web.Request) -> None:
        """Raises Problem 421 for a foreign Host, and 403 when a foreign page wants to change something."""
        host = host_name(request.headers.get("Host", ""))
        if host not in self.hosts:
            raise problem.Problem(
                421,
                "wrong_host",
                f"Nobody here answers to the name {host!r}.",
                "Use localhost, or add the name to QUAHOG_HTTP_NAMES.",
            )
        if request.method in READING:
            return
        origin, site = request.headers.get("Origin"), request.headers.get("Sec-Fetch-Site")
        foreign = origin is not None and origin.partition("://")[2] != request.headers["Host"]
        if foreign or site not in (None, "same-origin", "none"):
            raise problem.Problem(
                403,
                "foreign_origin",
                f"A page of {origin or 'another site'} may not do this.",
                "Use the console of this Quahog, or a client that is no browser.",
            )

    def count(self, status: int, seconds: float) -> None:
        self.counts["requests"] += 1
        self.counts["client_errors"] += 400 <= status < 500
        self.counts["server_errors"] += status >= 500
        self.seconds += seconds


async def sign(request: web.Request, response: web.StreamResponse) -> None:
    """`on_response_prepare`: the headers of every answer, streamed ones too."""
    response.headers.update(HEADERS)
    response.headers.setdefault("Cache-Control", "no-store")


def host_name(header: str) -> str:
    """The name in a Host header, lower case, without port and brackets."""
    if header.startswith("["):
        return header[1:].partition("]")[0].lower()
    return header.partition(":")[0].lower()
