"""Who may ask, and what every answer carries."""

from __future__ import annotations

import pytest
from multidict import CIMultiDict

from svc.bridge import guard
from tests.unit.bridge import fake, setup

pytestmark = pytest.mark.anyio

SAID = {"text": "Hi"}


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:6005", 200),
        ("LOCALHOST", 200),
        ("127.0.0.1:6005", 200),
        ("[::1]:6005", 200),
        ("quahog.lan", 200),
        ("evil.example", 421),
        ("localhost.evil.example", 421),
        ("0.0.0.0:6005", 421),
        ("", 421),
    ],
)
async def test_only_our_own_names(bus: fake.FakeBus, host: str, status: int) -> None:
    async with setup.client(bus, http_host="0.0.0.0", http_names="bridge, Quahog.lan") as client:
        for path in ("/", "/health", "/api/cast"):
            response = await client.get(path, headers={"Host": host})
            assert response.status in (status, 503 if path == "/health" and status == 200 else status)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 202),
        ({"Origin": "http://localhost:6005", "Host": "localhost:6005"}, 202),
        ({"Origin": "http://localhost:6005", "Host": "localhost:6005", "Sec-Fetch-Site": "same-origin"}, 202),
        ({"Origin": "http://localhost:3000", "Host": "localhost:6005"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
    ],
)
async def test_only_our_own_page_may_post(bus: fake.FakeBus, headers: dict[str, str], status: int) -> None:
    async with setup.client(bus) as client:
        response = await client.post("/api/say", json=SAID, headers=CIMultiDict(headers))
    assert response.status == status
    assert bool(bus.published) == (status == 202)


@pytest.mark.parametrize("path", ["/", "/health", "/static/app.js", "/nothing", "/api/events"])
async def test_every_answer_has_the_headers(bus: fake.FakeBus, path: str) -> None:
    async with setup.client(bus) as client, client.get(path) as response:
        headers = response.headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert "aiohttp" not in headers["Server"]
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


@pytest.mark.parametrize(
    ("header", "name"),
    [("[::1]:6005", "::1"), ("[::1]", "::1"), ("a.b:1", "a.b"), ("A", "a"), ("", ""), ("[", "")],
)
def test_host_name(header: str, name: str) -> None:
    assert guard.host_name(header) == name
