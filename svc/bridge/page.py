"""The files of the web console, read once and served from memory: no path of a request reaches the disk."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path

from aiohttp import web

from svc.bridge import problem

STATIC = Path(__file__).resolve().parent / "static"
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}
"""Spelled out: what the system thinks a `.js` is differs, and `nosniff` makes browsers insist."""


@dataclasses.dataclass(frozen=True, slots=True)
class File:
    data: bytes
    type: str
    etag: str


class Page:
    """`GET /` and `GET /static/{name}`."""

    def __init__(self, folder: Path = STATIC) -> None:
        self.files = {path.name: _load(path) for path in folder.iterdir() if path.suffix in TYPES}

    async def index(self, request: web.Request) -> web.Response:
        return self.serve(request, "index.html")

    async def static(self, request: web.Request) -> web.Response:
        return self.serve(request, request.match_info["name"])

    def serve(self, request: web.Request, name: str) -> web.Response:
        """The file, or 304 when the browser has it. Raises Problem 404."""
        file = self.files.get(name)
        if file is None:
            raise problem.Problem(404, "not_found", f"There is no {name!r}.", "The console is at /.")
        headers = {"ETag": f'"{file.etag}"', "Cache-Control": "no-cache"}
        if any(etag.value == file.etag for etag in request.if_none_match or ()):
            return web.Response(status=304, headers=headers)
        return web.Response(body=file.data, headers=headers | {"Content-Type": file.type})


def _load(path: Path) -> File:
    data = path.read_bytes()
    etag = hashlib.blake2b(data, digest_size=12).hexdigest()
    return File(data=data, type=TYPES[path.suffix], etag=etag)
