"""The console's API and its page."""

from __future__ import annotations

import re

import pytest

from svc.bridge import page
from svc.bus import errors, subjects
from svc.wire import coordinator, message, record
from tests.unit.bridge import fake, setup

pytestmark = pytest.mark.anyio


async def test_the_cast_is_fetched_once(bus: fake.FakeBus) -> None:
    async with setup.client(bus) as client:
        for _ in range(2):
            body = await (await client.get("/api/cast")).json()
    assert body["cast"][0] == {
        "id": "peter", "name": "Peter", "emoji": "*", "color": "#123456", "summary": "You are one.",
    }  # fmt: skip
    assert len(bus.calls) == 1


async def test_saying_something_is_heard_once(bus: fake.FakeBus) -> None:
    said = {
        "text": " <b>{x}</b>\r\nand\u0000 more\t", "to": ["brian", "peter", "brian"], "name": " Sam\n",
        "channel": "den", "native": "abc",
    }  # fmt: skip
    async with setup.client(bus) as client:
        answers = [await client.post("/api/say", json=said) for _ in range(2)]
        bodies = [await one.json() for one in answers]
    assert [one.status for one in answers] == [202, 202]
    assert bodies[0] == bodies[1]
    id_ = subjects.message_id("console", "abc")
    assert list(bus.published) == [f"evt.message.heard.{id_}.0"]
    heard = bus.published[f"evt.message.heard.{id_}.0"]
    assert isinstance(heard, message.Heard)
    assert (heard.text, heard.to) == ("<b>{x}</b>\nand more", ("brian", "peter"))
    assert (heard.surface, heard.channel, heard.author.name) == ("console", "console-den", "Sam")
    assert bodies[0]["message"] == id_
    assert bodies[0]["turns"] == [
        {"character": one, "turn": subjects.turn_id("console", "abc", one)} for one in ("brian", "peter")
    ]


@pytest.mark.parametrize(
    ("change", "status", "field"),
    [
        ({"text": ""}, 400, "text"),
        ({"text": "\u0001 \n"}, 400, "text"),
        ({"text": "é" * 4001}, 400, "text"),
        ({"name": "n" * 65}, 400, "name"),
        ({"channel": "a b"}, 400, "channel"),
        ({"channel": "x" * 41}, 400, "channel"),
        ({"channel": "a.>"}, 400, "channel"),
        ({"to": ["quagmire"]}, 404, "to"),
        ({"to": ["*"]}, 404, "to"),
        ({"to": "peter"}, 400, "to"),
        ({"to": ["peter"] * 17}, 400, "to"),
    ],
)
async def test_what_can_t_be_said(
    bus: fake.FakeBus, change: dict[str, object], status: int, field: str
) -> None:
    async with setup.client(bus) as client:
        response = await client.post("/api/say", json={"text": "Hi"} | change)
        body = await response.json(content_type="application/problem+json")
    assert (response.status, body["field"]) == (status, field)
    assert body["remedy"]
    assert bus.published == {}


async def test_the_longest_text_fits(bus: fake.FakeBus) -> None:
    async with setup.client(bus) as client:
        response = await client.post("/api/say", json={"text": "🐚" * 4000})
    assert response.status == 202


async def test_without_the_characters_service_one_can_still_speak(bus: fake.FakeBus) -> None:
    bus.answers["characters", "list"] = lambda _: errors.NoReply("away")
    async with setup.client(bus) as client:
        assert (await client.post("/api/say", json={"text": "Hi", "to": ["peter"]})).status == 202
        assert (await client.post("/api/say", json={"text": "Hi", "to": ["a.b"]})).status == 404
        assert (await client.get("/api/cast")).status == 504


async def test_a_broker_that_is_away_is_503(bus: fake.FakeBus) -> None:
    bus.failing = errors.NotAccepted("the broker can't be reached")
    async with setup.client(bus) as client:
        response = await client.post("/api/say", json={"text": "Hi"})
    assert (response.status, response.headers["Retry-After"]) == (503, "5")


async def test_history(bus: fake.FakeBus) -> None:
    line = message.Utterance(id="m", author=message.Author(id="local", name="Sam"), text="Hi")
    bus.answers["coordinator", "history"] = lambda _: coordinator.History(
        channel="console-den", utterances=(line,)
    )
    async with setup.client(bus) as client:
        for channel in ("den", "console-den"):
            body = await (await client.get("/api/history", params={"channel": channel})).json()
            assert body["utterances"][0]["text"] == "Hi"
        assert (await client.get("/api/history", params={"channel": "a/b"})).status == 400
    first, second = bus.calls
    assert first.request == coordinator.HistoryRequest(channel="console-den", limit=100)
    assert first.turn != second.turn, "the same call twice would give the recorded, old answer"


async def test_turns(bus: fake.FakeBus) -> None:
    bus.records["abc"] = record.TurnRecord(turn="abc", found=True, total_ms=3.0)
    async with setup.client(bus) as client:
        assert (await (await client.get("/api/turns/abc")).json())["total_ms"] == 3.0
        assert (await client.get("/api/turns/nothing")).status == 404
        assert (await client.get("/api/turns/a.b")).status == 400


async def test_the_page_and_its_files(bus: fake.FakeBus) -> None:
    async with setup.client(bus) as client:
        index = await client.get("/")
        html = await index.text()
        files = re.findall(r'(?:src|href)="(/static/[^"]+)"', html)
        for path in files:
            response = await client.get(path)
            assert response.status == 200, path
            again = await client.get(path, headers={"If-None-Match": response.headers["ETag"]})
            assert again.status == 304
        script = await client.get("/static/app.js")
        assert script.headers["Content-Type"] == "text/javascript; charset=utf-8"
        for path in ("/static/..%2fservice.py", "/static/nothing.js", "/static/"):
            assert (await client.get(path)).status == 404
    assert index.headers["Content-Type"] == "text/html; charset=utf-8"
    assert len(files) >= 3


def test_the_page_reaches_for_nothing_outside_and_runs_nothing_inline() -> None:
    for path in page.STATIC.iterdir():
        text = path.read_text(encoding="utf-8")
        outside = [url for url in re.findall(r"https?://[^\s\"')]+", text) if "www.w3.org/" not in url]
        assert outside == [], path.name
        assert "innerHTML" not in text
        assert "insertAdjacentHTML" not in text
    index = (page.STATIC / "index.html").read_text(encoding="utf-8")
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", index)


def test_every_module_that_is_imported_ships() -> None:
    for path in page.STATIC.glob("*.js"):
        for name in re.findall(r'from "\./([^"]+)"', path.read_text(encoding="utf-8")):
            assert (page.STATIC / name).is_file(), f"{path.name} imports {name}"
