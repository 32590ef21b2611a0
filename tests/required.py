"""Tools a user may lack: a test that needs one is skipped with the reason, unless CI requires it."""

from __future__ import annotations

import os
import shutil

import pytest

COMMANDS = {"chromium": ("chromium", "chromium-browser", "google-chrome"), "nats": ("nats",)}


def command(name: str) -> str:
    """The path of a tool. Skips the test where it is missing, fails it where `QUAHOG_REQUIRE` names it."""
    for candidate in COMMANDS[name]:
        if path := shutil.which(candidate):
            return path
    reason = f"{name} is not installed"
    if name in os.environ.get("QUAHOG_REQUIRE", "").split(","):
        pytest.fail(f"{reason}, and QUAHOG_REQUIRE names it")
    pytest.skip(reason)
