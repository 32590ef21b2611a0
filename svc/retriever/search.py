"""A search: query, vector, candidates, selection; with what is known remembered at every step."""

from __future__ import annotations

import collections
import logging

import anyio
import msgspec

from svc import cache, embedding, knowledge
from svc.retriever import query, selection
from svc.wire import retriever, status

REFRESH_S = 3.0
"""How often the index is looked at: so long may an answer be out of date, or Chroma's return go unseen."""
MISSING_S = 0.3
"""The same while there is none: the crawler is probably making it."""
OVERFETCH = 4
"""Candidates per wanted passage: some are doubles, some of one page."""
VECTORS_MAX = 512
"""Query vectors remembered, 1.5 KB each."""
NO_KNOWLEDGE = "no_knowledge"
"""The one way in which a search degrades: it is answered without looking."""

logger = logging.getLogger(__name__)


class Searcher:
    """Searches one index. `watch` must run beside it: it says whether there is one, and its version."""

    def __init__(
        self, index: knowledge.Index, embedder: embedding.Embedder, answers: cache.Cache, floor: float
    ) -> None:
        self.counts: collections.Counter[str] = collections.Counter()
        """`searches`, of them `empty` and `degraded`; `vector_hits`."""
        self.chunks = 0
        self._index = index
        self._embedder = embedder
        self._answers = answers
        self._floor = floor
        self._vectors: collections.OrderedDict[str, embedding.Vectors] = collections.OrderedDict()
        self._version = ""
        """When last seen. What is cached for it may be served although Chroma is away."""
        self._trouble = "the knowledge index has not been looked at yet"
        self._missing = False
        """Chroma answers, but nothing was indexed yet."""

    async def search(self, request: retriever.SearchRequest) -> retriever.Passages:
        """Passages for one message. Without an index the answer is empty and marked as degraded, at once."""
        self.counts["searches"] += 1
        asked = query.rewrite(request.text, request.history, request.character)
        if not asked:
            return retriever.Passages(index=self._version)
        version = self._version
        asked_hash = cache.digest(asked, request.character, request.guild, request.limit, self._floor)
        key = f"rag:{asked_hash}:{version}"
        if version and (known := await self._answers.get(key, retriever.Passages)) is not None:
            return msgspec.structs.replace(known, cached=True)
        if self._trouble:
            return self._degraded(asked)
        try:
            candidates = await self._candidates(asked, OVERFETCH * request.limit)
        except knowledge.Unavailable as error:
            self._lost(error)
            return self._degraded(asked)
        passages = selection.select(candidates, self._floor, request.limit)
        self.counts["empty"] += not passages
        answer = retriever.Passages(passages=passages, index=version, query=asked)
        await self._answers.set(key, answer)
        return answer

    async def watch(self) -> None:
        """Look at the index for ever, so that its changes, its loss and its return are noticed."""
        while True:
            await self.look()
            await anyio.sleep(MISSING_S if self._trouble else REFRESH_S)

    async def wait(self, seconds: float) -> None:
        """Until there is an index, or so long; one that can't be reached is not waited for."""
        with anyio.move_on_after(seconds):
            await self.look()
            while self._missing:
                await anyio.sleep(MISSING_S)
                await self.look()

    async def look(self) -> None:
        """Read the version once; the first sight of an index also warms it up."""
        try:
            state = await self._index.state()
            if self._trouble:
                # Chroma reads an index from disk when it is first asked: let that not be a user's question.
                await self._index.nearest(await self._vector("Who are you?"), OVERFETCH)
        except knowledge.Unavailable as error:
            self._lost(error)
            return
        if self._trouble:
            logger.info("the knowledge index is there: %d chunks", state.chunks)
        self._trouble, self._missing = "", False
        self._version = f"{self._embedder.name}-{state.version}"
        self.chunks = state.chunks

    def health(self) -> status.Health:
        if self._trouble:
            return status.Health(level="degraded", reasons=(self._trouble,))
        return status.Health()

    async def _candidates(self, asked: str, limit: int) -> list[retriever.Passage]:
        """What may be relevant, best first: the neighbours of the query's vector."""
        return await self._index.nearest(await self._vector(asked), limit)

    async def _vector(self, asked: str) -> embedding.Vectors:
        known = self._vectors.get(asked)
        if known is not None:
            self.counts["vector_hits"] += 1
            self._vectors.move_to_end(asked)
            return known
        vector: embedding.Vectors = (await embedding.embed_async(self._embedder, [asked]))[0]
        self._vectors[asked] = vector
        if len(self._vectors) > VECTORS_MAX:
            self._vectors.popitem(last=False)
        return vector

    def _lost(self, error: knowledge.Unavailable) -> None:
        if str(error) != self._trouble:
            logger.warning("searching without knowledge: %s", error)
        self._trouble = str(error)
        self._missing = isinstance(error, knowledge.Missing)

    def _degraded(self, asked: str) -> retriever.Passages:
        self.counts["degraded"] += 1
        return retriever.Passages(index=self._version, degraded=(NO_KNOWLEDGE,), query=asked)
