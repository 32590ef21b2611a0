"""The model service: `generate` and `banter` write drafts of replies, `embed` turns texts into vectors."""

from __future__ import annotations

import contextlib
import logging

from svc import config
from svc.bus import limits, service
from svc.llm import choice, keeper, meters, settings, studio, vectors
from svc.wire import llm

log = logging.getLogger(__name__)

NAME = "llm"
EMBED_SLOTS = 4
"""Embedding takes turns on the processor anyway; a few waiting requests hide the round trip."""


@contextlib.asynccontextmanager
async def open(app: service.App) -> service.Opened:
    """Choose the engine, load the model, serve. Yields only once a reply would start at once.

    Raises ConfigError when the engine or model that was asked for can't be had, EngineError when it fails.
    """
    wanted = config.read(settings.Settings)
    chosen = await choice.choose(wanted)
    log.info("engine %s, model %s: %s", chosen.engine.name, chosen.engine.model, chosen.reason)
    watcher = keeper.Keeper(chosen.engine)
    counted = meters.Meters()
    try:
        app.tell(f"loading {chosen.engine.model}")
        await watcher.warm()
        app.tasks.start_soon(watcher.watch)
        replies = studio.Studio(chosen.engine, app.cache, watcher, counted)
        embedder = vectors.Vectors(counted)
        yield service.Service(
            name=NAME,
            describe="The model: drafts of replies, and vectors",
            answers=(
                *(
                    service.Answer(
                        method,
                        llm.GenerateRequest,
                        llm.Generation,
                        replies.generate,
                        slots,
                        paid=True,
                        stall_s=chosen.engine.silence_s,
                    )
                    for method, slots in (
                        ("generate", limits.MODEL_SLOTS),
                        (studio.BANTER, limits.BANTER_SLOTS),
                    )
                ),
                service.Answer("embed", llm.EmbedRequest, llm.Embeddings, embedder.embed, EMBED_SLOTS),
            ),
            health=watcher.health,
            counters=counted.counters,
            gauges=replies.gauges,
            settings={
                **config.shown(wanted),
                "engine_in_use": chosen.engine.name,
                "engine_reason": chosen.reason,
                "model_in_use": chosen.engine.model,
                "context_in_use": chosen.engine.context,
            },
        )
    finally:
        watcher.stop()
        await chosen.engine.close()
