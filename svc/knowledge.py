"""The index of the knowledge base, as its one writer (`crawler`) and its readers (`retriever`) see it.

It is a Chroma collection per embedder, reached over HTTP. Nothing in it is the truth: the crawler can rebuild
it from its own database, and does so beside the live one (`sibling`, `promote`), so readers never see half of
an index.

Unavailable       the index can't be reached or answers with an error: try again later
└── Missing       Chroma answers, but nothing has been indexed for this embedder yet
"""

from __future__ import annotations

import dataclasses
import importlib
import urllib.parse
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, TypeVar

import anyio
import anyio.to_thread

from svc import embedding, errors
from svc.wire import retriever

READ_S = 1.0
"""A search may wait this long; somebody is waiting for an answer, and there is one without knowledge too."""
WRITE_S = 20.0
"""A write may wait this long: Chroma orders writes, and one batch can sit behind a compaction."""
PAGE_IDS = 2_000
"""Ids fetched at a time when the whole index is listed."""
NEXT = "next"
"""Suffix of the collection that is being built beside the live one."""

T = TypeVar("T")


class Unavailable(errors.QuahogError):
    """The index can't be reached, or answered with an error."""


class Missing(Unavailable):
    """There is no index yet."""


@dataclasses.dataclass(frozen=True, slots=True)
class Chunk:
    """A passage to be found: at most 200 tokens, of one section of one page."""

    id: str
    """Hash of everything else here, so an id never changes its meaning."""
    text: str
    title: str
    section: str
    source: str
    """`knowledge/places/the-clam.md`, or a URL."""
    licence: str

    def embedded(self) -> str:
        """What the vector is made of. The heading tells what "it" in the text is about."""
        heading = f"{self.title} — {self.section}" if self.section else self.title
        return f"{heading}\n{self.text}"


@dataclasses.dataclass(frozen=True, slots=True)
class State:
    version: str
    """Set when an update of the index is complete; "" while the first one runs."""
    chunks: int


async def prepare() -> None:
    """Import Chroma's client (0.7 s) in a thread, once, so that no request pays for it."""
    await anyio.to_thread.run_sync(importlib.import_module, "chromadb")


class Index:
    """One collection. Connects when first used and again after a failure; every call has a deadline.

    All methods raise Unavailable, and Missing where they need a collection that is not there.
    """

    def __init__(self, url: str, embedder: str, suffix: str = "") -> None:
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise errors.ConfigError("QUAHOG_CHROMA_URL must look like http://127.0.0.1:8000")
        self.url = url
        self.name = "-".join(filter(None, ("knowledge", embedder, suffix)))
        self._embedder = embedder
        self._host, self._tls = parts.hostname, parts.scheme == "https"
        self._port = parts.port or (443 if self._tls else 80)
        self._client: Any = None  # chromadb's types are not strict enough to be of use
        self._collection: Any = None

    def sibling(self) -> Index:
        """The collection beside this one in which a rebuild takes place; it shares this one's connection."""
        beside = Index(self.url, self._embedder, NEXT)
        beside._client = self._client
        return beside

    async def close(self) -> None:
        """Close the connections. The index may be used again: it then connects anew."""
        if self._client is not None:
            # The client can't be closed, but what it talks through is a context manager.
            await self._client._server.__aexit__(None, None, None)

    # Reading

    async def state(self) -> State:
        """Version and size, read afresh. Two requests, about 5 ms."""

        async def read() -> State:
            self._collection = await (await self._connected()).get_collection(
                self.name, embedding_function=None
            )
            version = (self._collection.metadata or {}).get("version", "")
            return State(str(version), await self._collection.count())

        return await self._within(READ_S, read)

    async def nearest(self, vector: embedding.Vectors, limit: int) -> list[retriever.Passage]:
        """The `limit` passages closest to `vector` (shape (dimensions,)), best first, scored by cosine."""

        async def query(collection: Any) -> Any:
            return await collection.query(
                query_embeddings=[vector],
                n_results=limit,
                include=["documents", "metadatas", "distances"],
            )

        found = await self._on_collection(READ_S, query)
        rows = zip(
            found["ids"][0], found["documents"][0], found["metadatas"][0], found["distances"][0], strict=True
        )
        return [
            retriever.Passage(
                id=id_,
                text=text,
                title=about.get("title", ""),
                section=about.get("section", ""),
                source=about.get("source", ""),
                licence=about.get("licence", ""),
                score=min(1.0, max(0.0, 1.0 - distance)),
            )
            for id_, text, about, distance in rows
        ]

    async def ids(self) -> set[str]:
        """The ids of every chunk in the index."""
        held: set[str] = set()
        while True:
            offset = len(held)

            async def page(collection: Any, offset: int = offset) -> Any:
                return await collection.get(limit=PAGE_IDS, offset=offset, include=[])

            fetched = (await self._on_collection(WRITE_S, page))["ids"]
            held.update(fetched)
            if len(fetched) < PAGE_IDS:
                return held

    # Writing

    async def create(self) -> None:
        """An empty collection under this name; what was there is gone."""
        await self.drop()

        async def make() -> None:
            # Cosine can't be set later, and without `None` Chroma would fetch a model of its own.
            self._collection = await (await self._connected()).create_collection(
                self.name, embedding_function=None, configuration={"hnsw": {"space": "cosine"}}
            )

        await self._within(WRITE_S, make)

    async def drop(self) -> None:
        """Remove the collection if it is there."""
        self._collection = None

        async def remove() -> None:
            await (await self._connected()).delete_collection(self.name)

        try:
            await self._within(WRITE_S, remove)
        except Missing:
            return

    async def upsert(self, chunks: Sequence[Chunk], vectors: embedding.Vectors) -> None:
        """Add chunks with their vectors. May run twice."""

        async def write(collection: Any) -> None:
            await collection.upsert(
                ids=[chunk.id for chunk in chunks],
                embeddings=vectors,
                documents=[chunk.text for chunk in chunks],
                metadatas=[
                    {
                        "title": chunk.title,
                        "section": chunk.section,
                        "source": chunk.source,
                        "licence": chunk.licence,
                    }
                    for chunk in chunks
                ],
            )

        await self._on_collection(WRITE_S, write)

    async def delete(self, ids: Iterable[str]) -> None:
        """Remove chunks by id; unknown ids are ignored."""
        gone = list(ids)

        async def write(collection: Any) -> None:
            await collection.delete(ids=gone)

        await self._on_collection(WRITE_S, write)

    async def stamp(self, version: str) -> None:
        """Say that the index now holds exactly the knowledge base of this version."""

        async def write(collection: Any) -> None:
            await collection.modify(metadata={"version": version})

        await self._on_collection(WRITE_S, write)

    async def promote(self, live: Index) -> None:
        """Take the place (and name) of `live`. Readers of the old collection find this one by themselves."""
        await live.drop()

        async def rename(collection: Any) -> None:
            await collection.modify(name=live.name)

        await self._on_collection(WRITE_S, rename)
        self._collection = None

    # Connection

    async def _on_collection(self, within_s: float, operation: Callable[[Any], Awaitable[T]]) -> T:
        async def run() -> T:
            if self._collection is not None:
                try:
                    return await operation(self._collection)
                except Exception as error:
                    if not _not_found(error):
                        raise
                    self._collection = None  # a rebuilt index has the same name and another id
            client = await self._connected()
            self._collection = await client.get_collection(self.name, embedding_function=None)
            return await operation(self._collection)

        return await self._within(within_s, run)

    async def _within(self, within_s: float, operation: Callable[[], Awaitable[T]]) -> T:
        try:
            with anyio.fail_after(within_s):
                return await operation()
        except Exception as error:  # the client raises bare Exception for whatever the server answers
            if _not_found(error):
                raise Missing(f"nothing is indexed at {self.url} yet") from error
            reason = f"{type(error).__name__}: {error}".rstrip(": ")
            raise Unavailable(
                f"the knowledge index at {self.url} can't be used ({reason}): is Chroma running?"
            ) from error

    async def _connected(self) -> Any:
        if self._client is None:
            import chromadb

            # The library keeps every client object for ever: look whether somebody listens before making one.
            await (await anyio.connect_tcp(self._host, self._port)).aclose()
            # Explicit settings: its defaults would be read from our `.env` and from CHROMA_* variables.
            settings = chromadb.config.Settings(
                _env_file=None,
                anonymized_telemetry=False,
                chroma_server_host=self._host,
                chroma_server_http_port=self._port,
            )
            self._client = await chromadb.AsyncHttpClient(
                self._host, self._port, ssl=self._tls, settings=settings
            )
        return self._client


def _not_found(error: Exception) -> bool:
    import chromadb.errors

    return isinstance(error, chromadb.errors.NotFoundError)
