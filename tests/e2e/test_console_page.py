"""The page in a real browser: say something, watch the draft, read the reply, ask how it came about."""

from __future__ import annotations

import pytest
from playwright import async_api as playwright

from svc.bus import subjects
from svc.wire import coordinator, llm, message, quality, record, turn
from tests import required
from tests.unit.bridge import fake, setup

pytestmark = [pytest.mark.anyio, pytest.mark.browser]

ARGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
)
SAID = "Who are you? <img src=x onerror=alert(1)> {braces}"
REPLY = "I'm <b>Peter</b>."
SIZES = ({"width": 1440, "height": 900}, {"width": 390, "height": 844})


@pytest.mark.parametrize("size", SIZES, ids=("desk", "phone"))
async def test_a_conversation(size: playwright.ViewportSize) -> None:
    bus = setup.healthy_bus()
    bus.answers["coordinator", "history"] = lambda _: coordinator.History(channel="console-main")
    complaints: list[str] = []
    async with setup.client(bus) as client, playwright.async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=required.command("chromium"), args=ARGS)
        page = await browser.new_page(viewport=size)
        page.set_default_timeout(10_000)
        page.on("console", lambda line: complaints.append(line.text) if line.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        await page.goto(str(client.make_url("/")))
        await page.get_by_role("button", name="Peter").click()
        await page.get_by_label("Your message").fill(SAID)
        await page.keyboard.press("Enter")
        await setup.until(lambda: bool(bus.published))
        heard = next(iter(bus.published.values()))
        assert isinstance(heard, message.Heard)
        assert (heard.text, heard.to) == (SAID, ("peter",))
        await answer(bus, heard, page)
        await page.locator(".log .reply .bubble").get_by_text(REPLY).wait_for()
        assert await page.locator(".log .own .bubble").inner_text() == SAID
        assert await page.locator(".bubble img, .bubble b").count() == 0
        await page.get_by_role("button", name="How this reply came about").click()
        panel = page.locator("#turn")
        await panel.get_by_text("Follows the talk").wait_for()
        await panel.get_by_text("llm generate #1").wait_for()
        await page.keyboard.press("Escape")
        await panel.wait_for(state="hidden")
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        await browser.close()
    assert complaints == []


async def answer(bus: fake.FakeBus, heard: message.Heard, page: playwright.Page) -> None:
    """What coordinator, router and model would publish."""
    turn_ = subjects.turn_id("console", heard.native, "peter")
    decision = coordinator.Decision(
        message=heard.message, channel=heard.channel, speakers=("peter",), turns=(turn_,)
    )
    await bus.publish(subjects.event("decision", "made", heard.message), decision)
    await page.locator(".typing .dots").wait_for()
    await bus.cast(subjects.token("llm", "generate", turn_, 1), llm.Token(text="A <i>draft</i>"))
    await page.locator(".typing .draft").get_by_text("A <i>draft</i>").wait_for()
    flow = quality.Component(name="flow", score=70.0, weight=0.3)
    ended = turn.Ended(
        turn=turn_,
        outcome="answered",
        character="peter",
        surface="console",
        channel=heard.channel,
        text=REPLY,
        attempts=(turn.Attempt(n=1, text=REPLY, accepted=True, score=80.0, threshold=30.0),),
        verdict=quality.Verdict(accepted=True, score=80.0, threshold=30.0, components=(flow,)),
        ms=900.0,
        at=heard.at + 1,
    )
    step = record.Step(
        service="llm", method="generate", n="1", start_ms=1.0, ms=800.0, total_ms=810.0, status="done"
    )
    bus.records[turn_] = record.TurnRecord(turn=turn_, found=True, steps=(step,), ended=ended, total_ms=900.0)
    receipt = message.Posted(
        turn=turn_,
        piece=0,
        surface="console",
        channel=heard.channel,
        character="peter",
        text=REPLY,
        at=heard.at + 1,
    )
    await bus.publish(subjects.event("message", "posted", turn_), receipt)
    await bus.publish(subjects.event("turn", "ended", turn_), ended)
