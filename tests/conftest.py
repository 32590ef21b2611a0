"""What every test shares."""

from __future__ import annotations

import signal

import pytest

# Started in the background by a script, we inherit that Ctrl-C is ignored, and so would every stack we start.
for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, handler)


@pytest.fixture
def anyio_backend() -> str:
    """The loop that production runs on is asyncio's (uvloop); trio is not supported by nats-py."""
    return "asyncio"
