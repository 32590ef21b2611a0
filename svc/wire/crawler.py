"""Filling the knowledge base: a long job started by a call that returns at once."""

from __future__ import annotations

from typing import Literal

from svc.wire.base import Wire


class CrawlRequest(Wire, frozen=True, kw_only=True):
    """`req.crawler.crawl`: index a source. A local folder (`folder:NAME` under the knowledge root)."""

    source: str
    rebuild: bool = False
    """True re-embeds everything instead of what changed."""


class CrawlStarted(Wire, frozen=True, kw_only=True):
    job: str
    source: str
    already_running: bool = False


class StatusRequest(Wire, frozen=True, kw_only=True):
    """`req.crawler.status`: how far is it?"""


class CrawlStatus(Wire, frozen=True, kw_only=True):
    """Also the body of `evt.crawl.progressed.<job>.<n>` and `evt.crawl.finished.<job>.0`."""

    job: str = ""
    source: str = ""
    state: Literal["idle", "running", "finished", "failed"] = "idle"
    pages: int = 0
    pages_total: int = 0
    chunks: int = 0
    embedded: int = 0
    """Chunks that were new or changed and so had to be embedded."""
    skipped: tuple[str, ...] = ()
    """Articles that could not be used, each with the reason: `people/x.md: not UTF-8`."""
    error: str = ""
    seconds: float = 0.0


class Knowledge(Wire, frozen=True, kw_only=True):
    """`evt.index.changed.<version>.0`: the knowledge base has a new version."""

    version: str
    chunks: int
