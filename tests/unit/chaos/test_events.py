"""Server-sent events as a browser reads them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svc.bridge import sse
from svc.chaos import events

pytestmark = pytest.mark.anyio


async def lines(data: bytes) -> AsyncIterator[bytes]:
    for line in data.splitlines(keepends=True):
        yield line


async def read(data: bytes, last: str = "") -> list[tuple[str, bytes, str]]:
    return [(event.kind, event.data, event.id) async for event in events.read(lines(data), last)]


async def test_what_the_bridge_writes_is_read() -> None:
    stream = b"".join(
        (
            b"retry: 1500\n\n",
            sse.frame("posted", b'{"a":1}', sequence=7),
            b": still here\n\n",
            sse.frame("token", b"{}"),
            sse.frame("ready", b'{"resumed":true}', sequence=9),
        )
    )
    assert await read(stream, "3") == [
        ("posted", b'{"a":1}', "7"),
        ("token", b"{}", "7"),
        ("ready", b'{"resumed":true}', "9"),
    ]


async def test_an_id_is_kept_until_there_is_another() -> None:
    assert await read(b"data: x\n\n", "41") == [("message", b"x", "41")]


async def test_one_that_was_cut_off_is_dropped() -> None:
    whole = sse.frame("posted", b'{"a":1}', sequence=7)
    assert await read(whole + sse.frame("posted", b'{"a":2}', sequence=8)[:-1]) == [
        ("posted", b'{"a":1}', "7")
    ]


@given(st.lists(st.tuples(st.sampled_from(["heard", "posted"]), st.integers(1, 10**9)), max_size=8))
async def test_whatever_is_framed_comes_out(framed: list[tuple[str, int]]) -> None:
    stream = b"".join(sse.frame(kind, b'{"n":%d}' % number, sequence=number) for kind, number in framed)
    assert await read(stream) == [(kind, b'{"n":%d}' % number, str(number)) for kind, number in framed]
