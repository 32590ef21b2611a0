"""What a power cut does to data that was never synced: the newest block of an async stream ends too early.

nats-server appends a stream's messages to numbered block files. Streams with `persist_mode: async` are
acknowledged before anything is written, so after a power cut the end of their newest block may be missing, in
the middle of a message too. All other streams are synced before every acknowledgement; cutting those would be
a broken disk, not a power cut.
"""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from pathlib import Path

from svc.bus import streams

ASYNC = tuple(stream.name for stream in streams.STREAMS if stream.durability == "async")
BLOCK = "*.blk"
CUT_BYTES_MAX = 16 * 1024
"""Some dozens of messages: more than was ever seen missing after `kill -9` (26 to 41 replies)."""


def cut(data: Path, seed: int, names: Sequence[str] = ASYNC) -> dict[str, int]:
    """Cut a random tail off the newest block of each stream: stream -> bytes. The server must be dead."""
    dice = random.Random(f"{seed}:cut")
    lost = {}
    for name in names:
        if (block := newest(data, name)) and (size := block.stat().st_size):
            lost[name] = dice.randint(1, min(size, CUT_BYTES_MAX))
            os.truncate(block, size - lost[name])
    return lost


def newest(data: Path, stream: str) -> Path | None:
    """The block that a stream is writing; None while it has none."""
    blocks = (data / "nats" / "jetstream").glob(f"*/streams/{stream}/msgs/{BLOCK}")
    return max(blocks, key=lambda block: int(block.stem), default=None)
