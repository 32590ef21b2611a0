from __future__ import annotations

from pathlib import Path

import pytest

from svc.crawler import article, folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("b.md", "places/a.md", "places/README.md", "README.md", "places/.draft.md", "notes.txt"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("x")
    (tmp_path / "empty").mkdir()
    return tmp_path


def test_the_starter_folder_is_everything_and_a_name_is_a_part_under_the_same_keys(root: Path) -> None:
    starter, places = folder.resolve("folder:starter", root), folder.resolve("folder:places", root)
    assert starter is not None
    assert places is not None
    assert starter.keys() == ["b.md", "places/a.md"]
    assert places.keys() == ["places/a.md"]
    assert (starter.read("places/a.md"), places.read("places/a.md")) == (b"x", b"x")


@pytest.mark.parametrize(
    "source", ["", "places", "folder:", "folder:..", "folder:a/../..", "folder:/etc", "http://x"]
)
def test_what_is_no_folder_is_not_ours(root: Path, source: str) -> None:
    assert folder.resolve(source, root) is None


def test_a_folder_that_is_missing_or_empty_is_said_so(root: Path) -> None:
    with pytest.raises(folder.UnknownSource, match="no folder 'nowhere'"):
        folder.resolve("folder:nowhere", root)
    empty = folder.resolve("folder:empty", root)
    assert empty is not None
    with pytest.raises(folder.UnknownSource, match="no articles"):
        empty.keys()


def test_a_huge_file_is_not_read_to_its_end(root: Path) -> None:
    (root / "huge.md").write_bytes(b"x" * (article.ARTICLE_BYTES_MAX + 100))
    assert len(folder.Folder(root).read("huge.md")) == article.ARTICLE_BYTES_MAX + 1


def test_a_passage_is_attributed_to_its_url_or_its_file() -> None:
    assert folder.address("places/a.md", "written for us") == "knowledge/places/a.md"
    assert folder.address("places/a.md", "https://example.org/a") == "https://example.org/a"
