from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from svc import errors, knowledge
from svc.crawler import store


def chunk(id_: str) -> knowledge.Chunk:
    return knowledge.Chunk(id_, f"text of {id_}", "Title", "Section", "knowledge/x.md", "CC0-1.0")


def vectors(*firsts: float) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    return np.array([[first, 0.0, 1.0] for first in firsts], dtype=np.float32)


@pytest.fixture
def pages(tmp_path: Path) -> Iterator[store.Store]:
    opened = store.Store(tmp_path / "deep" / "knowledge.db")
    yield opened
    opened.close()


def test_a_changed_page_keeps_the_vectors_of_unchanged_chunks(pages: store.Store) -> None:
    pages.put("folder", "x.md", "h1", [chunk("a"), chunk("b")], ["tag"])
    pages.keep("mini", [chunk("a"), chunk("b")], vectors(1, 2))
    pages.put("folder", "x.md", "h2", [chunk("b"), chunk("c")])
    assert pages.hashes("folder") == {"x.md": "h2"}
    assert pages.ids() == {"b", "c"}
    assert pages.without_vector("mini", 10) == [chunk("c")]
    found, held = pages.rows(["a", "b", "c"])
    assert found == [chunk("b")]
    np.testing.assert_array_equal(held, vectors(2))
    assert pages.counts() == (1, 2)


def test_another_embedder_sees_every_chunk_anew(pages: store.Store) -> None:
    pages.put("folder", "x.md", "h", [chunk("a"), chunk("b")])
    pages.keep("mini", [chunk("a")], vectors(1))
    assert pages.without_vector("mini", 10) == [chunk("b")]
    assert pages.without_vector("other", 10) == [chunk("a"), chunk("b")]
    assert pages.without_vector("other", 1) == [chunk("a")]


def test_forgotten_pages_take_their_chunks_along(pages: store.Store) -> None:
    pages.put("folder", "x/1.md", "h", [chunk("a")])
    pages.put("folder", "y/2.md", "h", [chunk("b")])
    pages.put("wiki", "x/1.md", "h", [chunk("c")])
    assert pages.hashes("folder", "x/") == {"x/1.md": "h"}
    pages.forget("folder", ["x/1.md", "unknown.md"])
    assert pages.ids() == {"b", "c"}


def test_vectors_are_dropped_by_prefix(pages: store.Store) -> None:
    pages.put("folder", "x/1.md", "h", [chunk("a")])
    pages.put("folder", "y/2.md", "h", [chunk("b")])
    pages.keep("mini", [chunk("a"), chunk("b")], vectors(1, 2))
    pages.drop_vectors("folder", "x/")
    assert pages.without_vector("mini", 10) == [chunk("a")]


def test_it_is_there_again_after_a_restart(tmp_path: Path) -> None:
    for _ in range(2):
        pages = store.Store(tmp_path / "knowledge.db")
        pages.put("folder", "x.md", "h", [chunk("a")])
        assert pages.ids() == {"a"}
        pages.close()


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "knowledge.db").write_bytes(b"not a database at all" * 100)
    with pytest.raises(errors.ConfigError, match=r"knowledge\.db can't be used .* move it away"):
        store.Store(tmp_path / "knowledge.db")


def test_the_version_depends_on_embedder_and_chunks_and_not_on_order() -> None:
    assert store.version("mini", ["a", "b"]) == store.version("mini", ["b", "a"])
    versions = {
        store.version("mini", ["a"]),
        store.version("mini", ["a", "b"]),
        store.version("other", ["a"]),
    }
    assert len(versions) == 3
