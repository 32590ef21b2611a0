"""The index job: read a source, chunk what changed, embed what is new, bring the index in line.

Every step can be repeated: pages are compared by hash, chunks by id, and the index by the ids it holds.
Killed anywhere, the next job finishes the work.
"""

from __future__ import annotations

import dataclasses
import itertools
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

import anyio
import anyio.to_thread
import msgspec

from svc import cache, embedding, errors, knowledge
from svc.crawler import article, chunks, folder, store
from svc.wire import crawler, status

BATCH_CHUNKS = 24
"""Chunks embedded, or written, at a time: a write of 100 stalls searches for 0.6 s, one of 10 for 0.09."""
PAUSE_S = 0.02
"""Left to searches between two writes."""
PROGRESS_S = 1.0
"""At most one progress event in this time."""
BACKOFF_S = (1.0, 30.0)
"""First and longest pause before the index is tried again."""
WATCH_S = 30.0
"""How often an idle crawler looks whether the index is still what it should be."""
SAMPLES = 5
"""Chunks looked up by their own vector: damage to Chroma's files is silent otherwise."""
SELF_RANK = 3
SELF_SCORE_MIN = 0.99
"""A chunk must be among so many neighbours of its own vector, and so close."""
SKIPPED_MAX = 20
"""Broken articles named in a status."""

T = TypeVar("T")
logger = logging.getLogger(__name__)


class Model(embedding.Embedder, Protocol):
    """An embedder that can also count its tokens."""

    def tokens(self, text: str) -> int: ...


@dataclasses.dataclass(frozen=True, slots=True)
class Order:
    """One job: index this folder."""

    job: str
    source: str
    folder: folder.Folder
    rebuild: bool = False


class Indexer:
    """Works off one order at a time; `status` says how far it is.

    `load` gives the model and is called only in a job that needs it: an unchanged base costs no memory.
    `embedder` is that model's name. `publish` sends an event (noun, verb, id, n, body) and never raises.
    """

    def __init__(
        self,
        pages: store.Store,
        index: knowledge.Index,
        embedder: str,
        load: Callable[[], Model],
        publish: Callable[[str, str, str, int, msgspec.Struct], Awaitable[None]],
    ) -> None:
        self.status = crawler.CrawlStatus()
        self.trouble = ""
        """Why the index is not what it should be, while it isn't."""
        self.embedded = 0
        """Chunks embedded since the process started."""
        self._pages = pages
        self._index = index
        self._embedder = embedder
        self._load = load
        self._publish = publish
        self._model: Model | None = None
        self._progressed = (0, 0.0)
        self._orders, self._taken = anyio.create_memory_object_stream[Order](1)

    def accept(self, order: Order) -> bool:
        """Queue a job. False when one is queued or running: `status` then says which."""
        if self.status.state == "running":
            return False
        self.status = crawler.CrawlStatus(job=order.job, source=order.source, state="running")
        self._orders.send_nowait(order)
        return True

    def health(self) -> status.Health:
        skipped = self.status.skipped
        named = f"{len(skipped)} articles skipped, the first: {skipped[0]}" if skipped else ""
        reasons = tuple(filter(None, (self.status.error, self.trouble, named)))
        return status.Health(level="degraded" if reasons else "ok", reasons=reasons)

    async def work(self) -> None:
        """Work for ever: jobs as they are ordered, and in between a look at the index."""
        with self._orders, self._taken:
            while True:
                order: Order | None = None
                with anyio.move_on_after(WATCH_S):
                    order = await self._taken.receive()
                if order is not None:
                    await self._run(order)
                else:
                    await self._watch()

    async def _run(self, order: Order) -> None:
        started = time.monotonic()
        self._progressed = (0, started)
        error = ""
        try:
            await self._read(order)
            await self._embed(order)
            await self._project(order)
            _, total = await _thread(self._pages.counts)
            self._note(chunks=total)
        except errors.QuahogError as trouble:
            error = str(trouble)
            logger.warning("%s could not be indexed: %s", order.source, error)
        except Exception as trouble:  # whatever it is, the service lives on and says so
            error = f"{order.source} could not be indexed: {type(trouble).__name__}: {trouble}"
            logger.exception("%s could not be indexed", order.source)
        finally:
            self._model = None
        self._note(
            state="failed" if error else "finished",
            error=error,
            seconds=round(time.monotonic() - started, 3),
        )
        now = self.status
        logger.info(
            "%s %s: %d pages, %d chunks, %d embedded, %d skipped, %.1f s",
            *(order.source, now.state, now.pages, now.chunks, now.embedded, len(now.skipped), now.seconds),
        )
        await self._publish("crawl", "finished", order.job, 0, now)

    async def _watch(self) -> None:
        """Mend the index if somebody emptied or damaged it meanwhile; a later look tries again."""
        try:
            await self._sync(rebuild=False)
        except knowledge.Unavailable as error:
            self.trouble = str(error)
        except Exception as error:
            self.trouble = f"the index could not be checked: {type(error).__name__}: {error}"
            logger.exception("the index could not be checked")
        else:
            self.trouble = ""

    # Reading: pages and chunks into the store

    async def _read(self, order: Order) -> None:
        keys = await _thread(order.folder.keys)
        if order.rebuild:
            await _thread(self._pages.drop_vectors, folder.SITE, order.folder.prefix)
        known = await _thread(self._pages.hashes, folder.SITE, order.folder.prefix)
        self._note(pages_total=len(keys))
        for done, key in enumerate(keys, 1):
            try:
                await self._read_page(order.folder, key, known.get(key))
            except (article.Broken, OSError) as error:
                # What was indexed of it before stays until it is mended or removed.
                reason = error.strerror if isinstance(error, OSError) else str(error)
                logger.warning("skipped %s: %s", key, reason)
                self._note(skipped=(*self.status.skipped, f"{key}: {reason}")[:SKIPPED_MAX])
            self._note(pages=done)
            await self._progress(order)
        await _thread(self._pages.forget, folder.SITE, known.keys() - set(keys))

    async def _read_page(self, source: folder.Folder, key: str, known: str | None) -> None:
        data = await _thread(source.read, key)
        hash_ = cache.digest(data, chunks.VERSION)
        if hash_ == known:
            return
        page = await _thread(article.parse, data)
        model = await self._loaded()

        def put() -> None:
            where = folder.address(key, page.source)
            found = chunks.split(page, f"{folder.SITE}/{key}", where, model.tokens)
            self._pages.put(folder.SITE, key, hash_, found, page.tags)

        await _thread(put)

    # Embedding: a vector for every chunk that has none by this model

    async def _embed(self, order: Order) -> None:
        while pending := await _thread(self._pages.without_vector, self._embedder, BATCH_CHUNKS):
            vectors = await embedding.embed_async(
                await self._loaded(), [chunk.embedded() for chunk in pending]
            )
            await _thread(self._pages.keep, self._embedder, pending, vectors)
            self.embedded += len(pending)
            self._note(embedded=self.status.embedded + len(pending))
            await self._progress(order)

    async def _loaded(self) -> Model:
        if self._model is None:
            self._model = await _thread(self._load)
        return self._model

    # Projecting: the index holds exactly what the store holds

    async def _project(self, order: Order) -> None:
        """Bring the index in line, however long it takes for Chroma to be there."""
        for attempt in itertools.count():
            try:
                await self._sync(order.rebuild)
            except knowledge.Unavailable as error:
                self.trouble = str(error)
                pause_s = backoff_s(attempt)
                logger.warning("%s; trying again in %.0f s", error, pause_s)
                await anyio.sleep(pause_s)
            else:
                self.trouble = ""
                return

    async def _sync(self, rebuild: bool) -> None:
        wanted = await _thread(self._pages.ids)
        version = await _thread(store.version, self._embedder, wanted)
        changed = rebuild
        try:
            state = await self._index.state()
        except knowledge.Missing:
            changed = rebuild = True
        else:
            if not rebuild and state != knowledge.State(version, len(wanted)):
                changed = True
                await self._amend(wanted, version)
            rebuild = rebuild or not await self._sound(wanted)
        if rebuild:
            changed = True
            await self._replace(wanted, version)
        if changed:
            body = crawler.Knowledge(version=version, chunks=len(wanted))
            await self._publish("index", "changed", version, 0, body)

    async def _amend(self, wanted: set[str], version: str) -> None:
        """Add and remove what differs. Added first: for a moment too much is known rather than too little."""
        held = await self._index.ids()
        await self._add(self._index, wanted - held)
        for batch in _batched(held - wanted):
            await self._index.delete(batch)
            await anyio.sleep(PAUSE_S)
        await self._index.stamp(version)

    async def _replace(self, wanted: set[str], version: str) -> None:
        """Build the index anew beside the one in use, then swap."""
        logger.info("building the index anew: %d chunks", len(wanted))
        fresh = self._index.sibling()
        await fresh.create()
        await self._add(fresh, wanted)
        await fresh.stamp(version)
        await fresh.promote(self._index)

    async def _sound(self, wanted: set[str]) -> bool:
        """Whether most of a few sampled chunks find themselves. The search is approximate: one may fail."""
        sample = sorted(wanted)[:: max(1, len(wanted) // SAMPLES)][:SAMPLES]
        found, vectors = await _thread(self._pages.rows, sample)
        lost = 0
        for chunk, vector in zip(found, vectors, strict=True):
            nearest = await self._index.nearest(vector, SELF_RANK)
            # A double of the passage is as good as itself.
            lost += not any(
                other.score >= SELF_SCORE_MIN and (other.id == chunk.id or other.text == chunk.text)
                for other in nearest
            )
        if 2 * lost > len(found):
            logger.warning("the index is damaged: %d of %d passages don't find themselves", lost, len(found))
            return False
        return True

    async def _add(self, index: knowledge.Index, ids: set[str]) -> None:
        for batch in _batched(ids):
            found, vectors = await _thread(self._pages.rows, batch)
            if found:
                await index.upsert(found, vectors)
            await anyio.sleep(PAUSE_S)

    # Telling

    def _note(self, **changes: object) -> None:
        self.status = msgspec.structs.replace(self.status, **changes)

    async def _progress(self, order: Order) -> None:
        n, at = self._progressed
        now = time.monotonic()
        if now - at >= PROGRESS_S:
            self._progressed = (n + 1, now)
            await self._publish("crawl", "progressed", order.job, n, self.status)


def backoff_s(attempt: int) -> float:
    """Seconds before attempt + 1: doubling, up to the longest pause."""
    first, longest = BACKOFF_S
    return float(min(longest, first * 2.0 ** min(attempt, 16)))


def _batched(ids: set[str]) -> list[list[str]]:
    ordered = sorted(ids)
    return [ordered[start : start + BATCH_CHUNKS] for start in range(0, len(ordered), BATCH_CHUNKS)]


async def _thread(function: Callable[..., T], *args: object) -> T:
    return await anyio.to_thread.run_sync(function, *args)
