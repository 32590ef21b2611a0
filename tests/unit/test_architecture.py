"""The rules that keep the folders what they say they are."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from svc.bus import streams

ROOT = Path(__file__).resolve().parents[2]
SVC = ROOT / "svc"
SERVICES = {*streams.SERVICES, "discord", "bridge"}
OUTSIDE = {"cli", "stack", "chaos"}
"""What stands above the services. `cli` may look into them: the doctor reads packs, asks for the engine."""
STRANGERS = {"chaos"}
"""What judges the services from outside, and must not know them."""


def imports(file: Path) -> Iterator[str]:
    """Every module a file imports, at the top or inside a function."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def files() -> list[Path]:
    return sorted(SVC.rglob("*.py"))


def package(file: Path) -> str:
    parts = file.relative_to(SVC).parts
    return parts[0] if len(parts) > 1 else ""


@pytest.mark.parametrize("file", files(), ids=lambda file: str(file.relative_to(ROOT)))
def test_direction_of_dependency(file: Path) -> None:
    mine = package(file)
    for name in imports(file):
        top, _, rest = name.partition(".")
        if top == "nats":
            assert mine == "bus", f"only svc/bus imports nats, not {file}"
        if top != "svc":
            continue
        other = rest.split(".")[0]
        if mine == "wire":
            assert other == "wire", f"wire imports {name}"
        if mine == "bus":
            assert other not in SERVICES | OUTSIDE, f"the bus imports {name}"
        if mine in STRANGERS:
            assert other not in SERVICES | {"cli"}, f"{mine} imports {name}"
        if mine in SERVICES:
            assert other not in (SERVICES | OUTSIDE) - {mine}, f"{mine} imports {name}"


def test_no_character_is_named_in_code() -> None:
    """Adding a character touches no .py file: no value in the code is a character's id."""
    documented = {"svc/ports.py"}  # the port table of the three
    found = [
        (str(file.relative_to(ROOT)), node.lineno)
        for file in files()
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and node.value in {"peter", "brian", "stewie"}
    ]
    assert [place for place in found if place[0] not in documented] == []
