"""Finding the line of a value."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator

import pytest

from svc import config
from svc.characters import place

TEXT = '''\
# a comment with [brackets] = and "quotes"
name = "one"
list = [
  "first", # not ] the end
  "second ]",

  """third
  over two lines""",
  "fourth",
]
"quoted key" = 0.5
inline = { left = 1, right = [1, 2] }
[table]
a.b = 1979-05-27 07:32:00
[[many]]
x = 1
[[many]]
x = """
long
"""
y = 'it''s'
[many.deep]
z = -0.5e3
[last]
end = true'''.replace("'it''s'", "'its'")


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("name",), 2),
        (("list",), 3),
        (("list", 0), 4),
        (("list", 1), 5),
        (("list", 2), 7),
        (("list", 3), 9),
        (("quoted key",), 11),
        (("inline", "right", 1), 12),
        (("table",), 13),
        (("table", "a", "b"), 14),
        (("many",), 15),
        (("many", 0, "x"), 16),
        (("many", 1), 17),
        (("many", 1, "y"), 21),
        (("many", 1, "deep", "z"), 23),
        (("last", "end"), 25),
    ],
)
def test_every_value_is_found(path: place.Path, line: int) -> None:
    assert place.line(TEXT, path) == line


def paths(value: object, path: place.Path = ()) -> Iterator[place.Path]:
    yield path
    if isinstance(value, dict):
        for key, item in value.items():
            yield from paths(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from paths(item, (*path, index))


@pytest.mark.parametrize("name", ["brian", "peter", "stewie"])
def test_the_scanner_sees_what_the_parser_sees(name: str) -> None:
    text = (config.shipped("characters") / f"{name}.toml").read_text("utf-8")
    assert set(place.lines(text)) == set(paths(tomllib.loads(text))) - {()}


def test_what_is_not_there_is_found_at_what_is_around_it() -> None:
    assert place.line(TEXT, ("many", 1, "missing")) == 17
    assert place.line(TEXT, ("missing",)) == 1


def test_windows_line_ends_count_once() -> None:
    assert place.line(TEXT.replace("\n", "\r\n"), ("last", "end")) == 25


def test_a_path_is_shown_as_people_write_it() -> None:
    assert place.shown(("examples", 3, "reply")) == "examples[3].reply"
