"""POST /orchestrate: what gets through, and what is answered when something is wrong."""

from __future__ import annotations

import json
from typing import Any

import pytest

from svc.bus import errors, limits, subjects
from svc.wire import router, turn
from tests.unit.bridge import fake, setup

pytestmark = pytest.mark.anyio

ASKED = {"character": "peter", "text": "Hi {there}\u0007!", "native": "one"}
TURN = subjects.turn_id("http", "one", "peter")


@pytest.fixture
def bus(bus: fake.FakeBus) -> fake.FakeBus:
    bus.answers["router", "orchestrate"] = answer
    return bus


def answer(request: Any) -> router.Orchestrated:
    ended = turn.Ended(turn=TURN, outcome="answered", character="peter", surface="http", channel="c")
    return router.Orchestrated(
        turn=TURN, character="peter", text="Hey.", accepted=True, attempts=1, score=80.0, ms=5.0, ended=ended
    )


async def test_it_calls_the_router_and_answers(bus: fake.FakeBus) -> None:
    async with setup.client(bus) as client:
        response = await client.post("/orchestrate", json=ASKED)
        body = await response.json()
    assert (response.status, body["text"], body["accepted"]) == (200, "Hey.", True)
    call = bus.calls[-1]
    assert (call.service, call.method, call.turn, call.n) == ("router", "orchestrate", TURN, "0")
    assert call.within_s == limits.ORCHESTRATE_S
    assert isinstance(call.request, router.OrchestrateRequest)
    assert call.request.text == "Hi {there}!"


async def test_without_native_every_request_is_a_turn_of_its_own(bus: fake.FakeBus) -> None:
    async with setup.client(bus) as client:
        for _ in range(2):
            await client.post("/orchestrate", json={"character": "peter", "text": "Hi"})
    assert len({call.turn for call in bus.calls}) == 2
    assert all(isinstance(one.request, router.OrchestrateRequest) and one.request.native for one in bus.calls)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"character": "peter"}, "text"),
        ({"text": "Hi"}, "character"),
        ({"character": "peter", "text": 1}, "text"),
        ({"character": "peter", "text": ""}, "text"),
        ({"character": "peter", "text": " \u0000\n"}, "text"),
        ({"character": "peter", "text": "x" * 4001}, "text"),
        ({"character": "peter", "text": "Hi", "author": {"id": 1}}, "author.id"),
        ({"character": "peter", "text": "Hi", "author": {}}, "author.id"),
        ({"character": "peter", "text": "Hi", "author": {"id": "a", "name": "n" * 65}}, "name"),
    ],
)
async def test_a_wrong_field_is_named(bus: fake.FakeBus, body: dict[str, object], field: str) -> None:
    async with setup.client(bus) as client:
        response = await client.post("/orchestrate", json=body)
        problem = await response.json(content_type="application/problem+json")
    assert (response.status, problem["status"], problem["field"]) == (400, 400, field)
    assert problem["detail"]
    assert problem["remedy"]
    assert bus.calls == []


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'"Hi"', b"\xff"])
async def test_what_is_no_object_is_400(bus: fake.FakeBus, data: bytes) -> None:
    async with setup.client(bus) as client:
        response = await client.post("/orchestrate", data=data, headers={"Content-Type": "application/json"})
    assert response.status == 400


async def test_a_form_is_415_and_a_flood_413_and_get_405(bus: fake.FakeBus) -> None:
    async with setup.client(bus) as client:
        form = await client.post("/orchestrate", data={"text": "Hi"})
        flood = await client.post("/orchestrate", json=ASKED | {"text": "x" * 70_000})
        get = await client.get("/orchestrate")
        codes = [(await one.json(content_type=None))["code"] for one in (form, flood, get)]
    assert [one.status for one in (form, flood, get)] == [415, 413, 405]
    assert codes == ["not_json", "too_large", "method_not_allowed"]
    assert get.headers["Allow"] == "POST"


@pytest.mark.parametrize(
    ("error", "status", "code", "later"),
    [
        (errors.Refused("unknown_character", "Nobody is called peter."), 404, "unknown_character", False),
        (errors.Refused("deadline_passed"), 504, "deadline_passed", False),
        (errors.Refused("buried", "It broke."), 500, "buried", False),
        (errors.Refused("too_rude", "No."), 422, "too_rude", False),
        (errors.Overloaded("router is full"), 429, "overloaded", True),
        (errors.NotAccepted("no broker"), 503, "not_accepted", True),
        (errors.NoReply("100 s"), 504, "no_reply", False),
    ],
)
async def test_the_bus_s_errors_become_problems(
    bus: fake.FakeBus, error: errors.BusError, status: int, code: str, later: bool
) -> None:
    bus.answers["router", "orchestrate"] = lambda _: error
    async with setup.client(bus) as client:
        response = await client.post("/orchestrate", json=ASKED)
        problem = await response.json(content_type="application/problem+json")
    assert (response.status, problem["code"], problem["turn"]) == (status, code, TURN)
    assert problem["type"] == f"urn:quahog:problem:{code}"
    assert problem["remedy"]
    assert ("Retry-After" in response.headers) == later


async def test_a_bug_of_ours_is_500_and_tells_nothing(
    bus: fake.FakeBus, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_: object) -> router.Orchestrated:
        raise RuntimeError("secret detail")

    bus.answers["router", "orchestrate"] = broken
    async with setup.client(bus) as client:
        response = await client.post("/orchestrate", json=ASKED)
        text = await response.text()
    assert (response.status, json.loads(text)["code"]) == (500, "internal")
    assert "secret" not in text
    assert "secret detail" in caplog.text
