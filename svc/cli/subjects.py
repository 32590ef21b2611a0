"""`quahog subjects`: the page about subjects and streams, generated from the tables in the code."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from svc import errors
from svc.bus import page

EXAMPLE = "  quahog subjects\n  quahog subjects --write\n  quahog subjects --check"
FILE = Path("subjects.md")


def arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--write", action="store_true", help=f"write {FILE}")
    group.add_argument("--check", action="store_true", help=f"fail when {FILE} differs from the code")


def run(args: argparse.Namespace) -> int:
    """Raises ConfigError when --check finds a difference."""
    text = page.render()
    if args.write:
        FILE.write_text(text, encoding="utf-8")
    elif args.check:
        if not FILE.is_file() or FILE.read_text(encoding="utf-8") != text:
            raise errors.ConfigError(f"{FILE} differs from the code: run `quahog subjects --write`")
    else:
        sys.stdout.write(text)
    return 0
