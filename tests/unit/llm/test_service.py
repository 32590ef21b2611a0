"""The composition root, with the engine that needs no model."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import anyio
import pytest

from svc import config, errors
from svc.bus import api, service
from svc.llm import service as model_service
from svc.wire import llm
from tests.unit.llm import scripted

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def _settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("QUAHOG_ENGINE", "instant")
    monkeypatch.setenv("QUAHOG_INSTANT_LOG", str(tmp_path / "paid.jsonl"))


async def test_it_serves_three_methods_and_shows_what_it_runs(tmp_path: Path) -> None:
    async with anyio.create_task_group() as tasks:
        app = service.App(
            bus=cast(api.Bus, scripted.Casts()),
            cache=scripted.DictCache().as_cache(),
            common=config.Common(),
            tasks=tasks,
        )
        async with model_service.open(app) as served:
            assert served.name == model_service.NAME == "llm"
            assert served.health().level == "ok"
            assert served.settings["engine_in_use"] == "instant"
            slots = {answer.method: answer.slots for answer in served.answers}
            assert slots == {"generate": 5, "banter": 2, "embed": 4}
            generate = served.answers[0].handler
            request = llm.GenerateRequest(
                character="stewie", messages=(llm.ChatMessage(role="user", content="Broccoli?"),)
            )
            made = await generate(request, scripted.a_job())
            assert "broccoli" in made.candidates[0].text.lower()
            await generate(request, scripted.a_job())
            assert served.counters()["llm_generations_total"] == 1
            assert served.counters()["llm_cache_hits_total"] == 1
    # The watch has ended with the service, or the task group would not have.
    assert len((tmp_path / "paid.jsonl").read_bytes().splitlines()) == 1


async def test_a_wrong_setting_stops_it_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUAHOG_NUM_CTX", "12")
    with pytest.raises(errors.ConfigError, match="QUAHOG_NUM_CTX"):
        async with model_service.open(cast(service.App, None)):
            pass
