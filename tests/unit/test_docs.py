"""What the documentation says to type exists; what it links to exists."""

from __future__ import annotations

import argparse
import importlib
import re
import shlex
from pathlib import Path

import pytest

from svc import cli
from tests import documented

LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)")
TARGET = re.compile(r"^([a-z-]+):", re.MULTILINE)


@pytest.mark.parametrize(("page", "line"), documented.commands("quahog"))
def test_commands_exist_with_their_options(page: str, line: str) -> None:
    _, name, *words = shlex.split(line)
    assert name in cli.COMMANDS, f"{page}: {line}"
    parser = argparse.ArgumentParser(exit_on_error=False)
    importlib.import_module(f"svc.cli.{name}").arguments(parser)
    parser.parse_args(words)


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_the_example_of_every_command_is_right(name: str) -> None:
    module = importlib.import_module(f"svc.cli.{name}")
    parser = argparse.ArgumentParser(exit_on_error=False)
    module.arguments(parser)
    for line in module.EXAMPLE.splitlines():
        program, command, *words = shlex.split(line.partition(" | ")[0])
        assert (program, command) == ("quahog", name)
        parser.parse_args(words)


@pytest.mark.parametrize(("page", "line"), documented.commands("make"))
def test_make_targets_exist(page: str, line: str) -> None:
    targets = TARGET.findall((documented.ROOT / "Makefile").read_text())
    assert shlex.split(line)[1] in targets, f"{page}: {line}"


@pytest.mark.parametrize("page", documented.PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        assert (page.parent / target.strip()).exists(), f"{page.name} links to {target}"
