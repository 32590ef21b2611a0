"""One batch of vectors per request, and none for a text whose vector is still known.

History and passages come back with every attempt and every turn of a channel, so most of a request is known.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import numpy as np

from svc import embedding
from svc.quality.case import PASSAGE_CHARS, Case, Meaning, Scene

TEXTS_KEPT = 2048
"""3 MB of vectors."""


class Meanings:
    """Embeds cases, remembering the vectors of the latest texts. For one event loop."""

    def __init__(self, embedder: embedding.Embedder) -> None:
        self._embedder = embedder
        self._kept: OrderedDict[str, embedding.Vectors] = OrderedDict()

    async def of(self, scene: Scene, cases: Sequence[Case]) -> list[Meaning]:
        """The meaning of every case of a scene, in order, with one call of the embedder at most."""
        passages = [passage[:PASSAGE_CHARS] for passage in scene.passages]
        replies = [case.text for case in cases]
        wanted = dict.fromkeys([scene.user, *scene.near, *scene.ours, *passages, *replies])
        vectors = {text: self._kept[text] for text in wanted if text in self._kept}
        if missing := [text for text in wanted if text not in vectors]:
            rows = await embedding.embed_async(self._embedder, missing)
            vectors.update(zip(missing, rows, strict=True))
        self._keep(vectors)
        near, ours, known = (self._rows(vectors, texts) for texts in (scene.near, scene.ours, passages))
        return [Meaning(vectors[reply], vectors[scene.user], near, ours, known) for reply in replies]

    def _rows(self, vectors: dict[str, embedding.Vectors], texts: Sequence[str]) -> embedding.Vectors:
        if not texts:
            return np.zeros((0, self._embedder.dimensions), dtype=np.float32)
        return np.stack([vectors[text] for text in texts])

    def _keep(self, vectors: dict[str, embedding.Vectors]) -> None:
        for text, vector in vectors.items():
            self._kept[text] = vector
            self._kept.move_to_end(text)
        while len(self._kept) > TEXTS_KEPT:
            self._kept.popitem(last=False)
