"""The handler of `embed`."""

from __future__ import annotations

import anyio
import anyio.to_thread

from svc import embedding
from svc.bus import errors, job
from svc.llm import meters
from svc.wire import llm

TEXTS_MAX = 64
"""Texts in one request: their vectors are half of the bus's largest body."""
DECIMALS = 6
"""Of every number sent: the weights are 8-bit, and 17 digits would double the body."""


class Vectors:
    def __init__(self, counted: meters.Meters) -> None:
        self._meters = counted
        self._embedder: embedding.Embedder | None = None
        self._loading = anyio.Lock()

    async def embed(self, request: llm.EmbedRequest, circumstances: job.Job) -> llm.Embeddings:
        """One unit vector per text. Raises Refused("too_many_texts")."""
        if len(request.texts) > TEXTS_MAX:
            raise errors.Refused("too_many_texts", f"at most {TEXTS_MAX} texts in one request; split them")
        embedder = await self._load()
        rows = await embedding.embed_async(embedder, request.texts)
        circumstances.progress()
        self._meters.add("embedded_texts", len(request.texts))
        return llm.Embeddings(
            vectors=tuple(tuple(round(float(value), DECIMALS) for value in row) for row in rows),
            model=embedder.name,
        )

    async def _load(self) -> embedding.Embedder:
        """Loaded at first use: most processes of this service never embed anything."""
        async with self._loading:
            if self._embedder is None:
                self._embedder = await anyio.to_thread.run_sync(embedding.load)
            return self._embedder
