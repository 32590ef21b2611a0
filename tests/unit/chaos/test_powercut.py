"""The power cut takes the end of what was never synced, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from svc.bus import streams
from svc.chaos import powercut


def block(data: Path, stream: str, number: int, size: int) -> Path:
    folder = data / "nats" / "jetstream" / "$G" / "streams" / stream / "msgs"
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{number}.blk"
    file.write_bytes(bytes(range(256)) * (size // 256) + bytes(size % 256))
    return file


def sizes(data: Path) -> dict[str, int]:
    return {str(file.relative_to(data)): file.stat().st_size for file in data.rglob("*.blk")}


def test_only_the_newest_block_of_async_streams_is_cut(tmp_path: Path) -> None:
    for stream in streams.STREAMS:
        for number, size in ((2, 4_000), (10, 3_000), (9, 2_000)):
            block(tmp_path, stream.name, number, size)
    before = sizes(tmp_path)
    lost = powercut.cut(tmp_path, 1)
    after = sizes(tmp_path)
    assert {name for name in before if before[name] != after[name]} == {
        f"nats/jetstream/$G/streams/{name}/msgs/10.blk" for name in lost
    }
    assert set(lost) == {stream.name for stream in streams.STREAMS if stream.durability == "async"}
    assert {"LOG", "WORK_llm"} <= set(lost)
    assert not {"TURNS", "SAY", "RECORD", "KV_STATE", "DEAD"} & set(lost)
    for name, count in lost.items():
        file = f"nats/jetstream/$G/streams/{name}/msgs/10.blk"
        assert 1 <= count == before[file] - after[file]


def test_what_is_left_is_the_beginning(tmp_path: Path) -> None:
    file = block(tmp_path, "LOG", 1, 5_000)
    whole = file.read_bytes()
    powercut.cut(tmp_path, 3)
    assert whole.startswith(file.read_bytes())


def test_the_same_seed_cuts_the_same(tmp_path: Path) -> None:
    cuts = []
    for seed in (1, 1, 2):
        for name in powercut.ASYNC:
            block(tmp_path, name, 1, 9_000)
        cuts.append(powercut.cut(tmp_path, seed))
    assert cuts[0] == cuts[1] != cuts[2]


@pytest.mark.parametrize("size", [0, 1, 200_000])
def test_it_never_takes_more_than_there_is_or_than_is_likely(tmp_path: Path, size: int) -> None:
    file = block(tmp_path, "LOG", 1, size)
    lost = powercut.cut(tmp_path, 1).get("LOG", 0)
    assert file.stat().st_size == size - lost
    assert lost <= min(size, powercut.CUT_BYTES_MAX)
    assert (lost > 0) is (size > 0)


def test_a_stream_without_blocks_has_nothing_to_lose(tmp_path: Path) -> None:
    assert powercut.cut(tmp_path, 1) == {}
    assert powercut.newest(tmp_path, "LOG") is None
