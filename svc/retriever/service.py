"""The retriever: passages of the knowledge base that bear on what was said."""

from __future__ import annotations

import contextlib

import anyio
import anyio.abc
import anyio.to_thread

from svc import config, embedding, knowledge
from svc.bus import job, service
from svc.retriever import search, settings
from svc.wire import retriever

NAME = "retriever"
INDEX_S = 20.0
"""How long the start waits for an index: the first one takes 5–8 s to make."""


@contextlib.asynccontextmanager
async def open(app: service.App) -> service.Opened:
    """Loads the embedder, then waits a while for the index; without one it answers all the same, degraded."""
    options = config.read(settings.Settings)
    index = knowledge.Index(app.common.chroma_url, embedding.MiniLM.name)
    await knowledge.prepare()
    embedder = await anyio.to_thread.run_sync(embedding.load, options.retriever_threads)
    searcher = search.Searcher(index, embedder, app.cache, options.retriever_floor)
    app.tell("waiting for the index")
    await searcher.wait(INDEX_S)

    async def answer(request: retriever.SearchRequest, job: job.Job) -> retriever.Passages:
        return await searcher.search(request)

    async def watch(*, task_status: anyio.abc.TaskStatus[anyio.CancelScope]) -> None:
        with anyio.CancelScope() as scope:
            task_status.started(scope)
            await searcher.watch()

    watching: anyio.CancelScope = await app.tasks.start(watch)
    try:
        yield service.Service(
            name=NAME,
            describe="Passages of the knowledge base that bear on what was said",
            answers=(service.Answer("search", retriever.SearchRequest, retriever.Passages, answer),),
            health=searcher.health,
            counters=lambda: {f"retriever_{name}_total": n for name, n in searcher.counts.items()},
            gauges=lambda: {"retriever_chunks": searcher.chunks},
            settings=config.shown(options),
        )
    finally:
        watching.cancel()
        with anyio.CancelScope(shield=True):
            await index.close()
