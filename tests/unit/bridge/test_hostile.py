"""Ids that are none, offered wherever the HTTP doors take one: a 4xx that says so, and nothing on the bus."""

from __future__ import annotations

import urllib.parse

import pytest
import yarl

from svc.bus import subjects
from tests.unit.bridge import fake, setup

pytestmark = pytest.mark.anyio

HOSTILE = ("a.b", "*", ">", " ", "é", "a\nb", "a\x00b", "x" * 65, "$JS", "a b", "../turns", "evt.>")


@pytest.mark.parametrize("hostile", HOSTILE)
async def test_hostile_ids_are_refused(bus: fake.FakeBus, hostile: str) -> None:
    quoted = urllib.parse.quote(hostile, safe="")
    bus.answers["characters", "list"] = lambda _request: setup.CAST
    async with setup.client(bus) as client:
        for path in (
            f"/api/turns/{quoted}",
            f"/api/history?channel={quoted}",
            f"/api/events?channel={quoted}",
        ):
            async with client.get(yarl.URL(path, encoded=True)) as response:
                assert response.status in (400, 404), path
                assert "detail" in await response.json(), path
        for body in ({"to": [hostile]}, {"channel": hostile}):
            async with client.post("/api/say", json={"text": "Hi", **body}) as response:
                assert response.status in (400, 404), body
    assert bus.published == {}
    assert all(subjects.TOKEN.fullmatch(call.turn) for call in bus.calls)


@pytest.mark.parametrize("hostile", HOSTILE)
async def test_a_native_id_may_be_anything(bus: fake.FakeBus, hostile: str) -> None:
    """It only goes into a hash."""
    async with setup.client(bus) as client:
        assert (await client.post("/api/say", json={"text": "Hi", "native": hostile})).status == 202
    (subject,) = bus.published
    assert subjects.parse(subject).kind == "evt"
