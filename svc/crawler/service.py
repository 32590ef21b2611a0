"""The crawler: reads sources, cleans and chunks them, and keeps the index of the knowledge base."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from pathlib import Path

import anyio
import anyio.abc
import msgspec

from svc import embedding, knowledge
from svc.bus import errors, job, service, subjects
from svc.crawler import folder, indexing, store
from svc.wire import crawler

NAME = "crawler"
DATABASE = "knowledge.db"
EMBED_THREADS = 2
"""Threads of the model in a job: half as fast again as one, and nobody waits for an answer here."""
FIRST_JOB_S = 120.0
"""The starter knowledge takes 5–8 s; a folder that takes longer than this goes on in the background."""
LOOK_S = 0.2

logger = logging.getLogger(__name__)


@contextlib.asynccontextmanager
async def open(app: service.App) -> service.Opened:
    """Opens the store, then indexes the starter folder in the background."""
    root = app.common.knowledge_path()
    index = knowledge.Index(app.common.chroma_url, embedding.MiniLM.name)
    await knowledge.prepare()
    pages = store.Store(app.common.data_path() / DATABASE)

    async def publish(noun: str, verb: str, id_: str, n: int, body: msgspec.Struct) -> None:
        subject = subjects.event(noun, verb, id_, n)
        try:
            await app.bus.publish(subject, body)
        except errors.BusError as error:
            # Events are for whoever listens; the work they tell of is done all the same.
            logger.warning("could not publish %s: %s", subject, error)

    indexer = indexing.Indexer(
        pages, index, embedding.MiniLM.name, lambda: embedding.load(EMBED_THREADS), publish
    )
    answers = Answers(indexer, root)
    starter = subjects.short_hash("crawl", folder.STARTER, app.bus.instance)
    indexer.accept(indexing.Order(starter, folder.STARTER, folder.Folder(root)))
    scope, ended = anyio.CancelScope(), anyio.Event()

    async def work(*, task_status: anyio.abc.TaskStatus[None]) -> None:
        try:
            with scope:
                task_status.started()
                await indexer.work()
        finally:
            ended.set()

    await app.tasks.start(work)
    await _first_job(indexer, app.tell)
    try:
        yield service.Service(
            name=NAME,
            describe="Reads sources and keeps the index of the knowledge base",
            answers=(
                service.Answer("crawl", crawler.CrawlRequest, crawler.CrawlStarted, answers.crawl),
                service.Answer("status", crawler.StatusRequest, crawler.CrawlStatus, answers.status),
            ),
            health=indexer.health,
            counters=lambda: {"crawler_embedded_total": indexer.embedded},
            gauges=lambda: {
                "crawler_chunks": indexer.status.chunks,
                "crawler_pages": indexer.status.pages,
                "crawler_skipped": len(indexer.status.skipped),
            },
            settings={"knowledge": str(root), "embedder": embedding.MiniLM.name},
        )
    finally:
        scope.cancel()
        with anyio.CancelScope(shield=True):
            await ended.wait()  # the store must not be closed under a thread that writes to it
            pages.close()
            await index.close()


async def _first_job(indexer: indexing.Indexer, tell: Callable[[str], None]) -> None:
    """Be ready only once there is something to find; an index that can't be reached is not waited for."""
    told = ""
    with anyio.move_on_after(FIRST_JOB_S):
        while indexer.status.state == "running" and not indexer.trouble:
            if (doing := _doing(indexer.status)) != told:
                tell(doing)
                told = doing
            await anyio.sleep(LOOK_S)


def _doing(now: crawler.CrawlStatus) -> str:
    if now.embedded:
        return f"{now.embedded} passages embedded"
    return f"reading article {now.pages} of {now.pages_total}"


class Answers:
    """What the crawler answers."""

    def __init__(self, indexer: indexing.Indexer, root: Path) -> None:
        self._indexer = indexer
        self._root = root

    async def crawl(self, request: crawler.CrawlRequest, job: job.Job) -> crawler.CrawlStarted:
        """Start indexing and return at once; a source that is being indexed already is not started twice.

        Refuses `unsupported_source`, `unknown_source` and `busy`.
        """
        try:
            found = folder.resolve(request.source, self._root)
        except folder.UnknownSource as error:
            raise errors.Refused("unknown_source", str(error)) from error
        if found is None:
            raise errors.Refused(
                "unsupported_source",
                f"only folders can be indexed: ask for {folder.STARTER} or folder:NAME, "
                "a folder below the knowledge folder",
            )
        # The same request delivered twice is the same job.
        id_ = subjects.short_hash("crawl", request.source, job.subject.turn, job.subject.n)
        running = self._indexer.status
        if running.job == id_:
            return crawler.CrawlStarted(job=id_, source=request.source)
        if self._indexer.accept(indexing.Order(id_, request.source, found, request.rebuild)):
            return crawler.CrawlStarted(job=id_, source=request.source)
        if running.source == request.source:
            return crawler.CrawlStarted(job=running.job, source=request.source, already_running=True)
        raise errors.Refused("busy", f"{running.source} is being indexed: ask again when it has finished")

    async def status(self, request: crawler.StatusRequest, job: job.Job) -> crawler.CrawlStatus:
        """How far the job is that runs, or how the last one ended."""
        return self._indexer.status
