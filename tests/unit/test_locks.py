"""The locks are complete: they are installed without looking at dependencies, on any Python from 3.11 on."""

from __future__ import annotations

import importlib.metadata
import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
PINNED = re.compile(r"^([A-Za-z0-9_.-]+)==([^\s;]+)", re.MULTILINE)
PYTHONS = ("3.11.0", "3.12.0", "3.13.0")


def locked(name: str) -> set[str]:
    return {canonicalize_name(found[0]) for found in PINNED.findall((ROOT / name).read_text())}


def excluded() -> set[str]:
    """What two wheels declare and we don't want."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    return {canonicalize_name(name) for name in settings["tool"]["uv"]["exclude-dependencies"]}


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-dev.lock"])
@pytest.mark.parametrize("python", PYTHONS)
def test_everything_a_locked_package_needs_is_locked(lock: str, python: str) -> None:
    names = locked(lock)
    environment = {
        "extra": "",
        "python_full_version": python,
        "python_version": ".".join(python.split(".")[:2]),
    }
    missing = []
    for name in sorted(names):
        try:
            needs = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue  # for another Python or system than this one
        for text in needs:
            need = Requirement(text)
            if need.marker is not None and not need.marker.evaluate(environment):
                continue
            if canonicalize_name(need.name) not in names | excluded():
                missing.append(f"{name} needs {text}")
    assert missing == []


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-dev.lock"])
def test_every_package_has_hashes_and_no_address(lock: str) -> None:
    text = (ROOT / lock).read_text()
    assert "://" not in text
    for block in re.split(r"\n(?=[A-Za-z0-9])", text):
        assert "--hash=sha256:" in block, block[:80]


def test_development_installs_what_users_get() -> None:
    users = dict(PINNED.findall((ROOT / "requirements.lock").read_text()))
    developers = dict(PINNED.findall((ROOT / "requirements-dev.lock").read_text()))
    assert users.items() <= developers.items()


def test_every_dependency_says_why() -> None:
    listed = re.search(r"^dependencies = \[\n(.*?)^\]", (ROOT / "pyproject.toml").read_text(), re.M | re.S)
    assert listed is not None
    for line in listed[1].splitlines():
        assert re.search(r'",\s*# .{10,}', line), line
