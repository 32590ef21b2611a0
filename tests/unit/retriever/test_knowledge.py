from __future__ import annotations

import pytest

from svc import errors, knowledge


@pytest.mark.parametrize("url", ["", "127.0.0.1:8000", "redis://127.0.0.1:8000", "http://"])
def test_an_address_that_is_none_is_named_by_its_setting(url: str) -> None:
    with pytest.raises(errors.ConfigError, match="QUAHOG_CHROMA_URL"):
        knowledge.Index(url, "mini")


def test_every_embedder_has_an_index_of_its_own_and_builds_the_next_beside_it() -> None:
    index = knowledge.Index("http://127.0.0.1:8000", "mini")
    assert index.name == "knowledge-mini"
    assert index.sibling().name == "knowledge-mini-next"


def test_the_heading_is_part_of_what_is_embedded() -> None:
    chunk = knowledge.Chunk("1", "Ale.", "The Clam", "", "knowledge/x.md", "CC0-1.0")
    assert chunk.embedded() == "The Clam\nAle."
