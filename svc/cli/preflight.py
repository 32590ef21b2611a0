"""What `quahog up` looks at before it starts anything, so that a mistake leaves nothing half-started."""

from __future__ import annotations

from collections.abc import Mapping

import anyio

from svc import config, errors
from svc.bridge import settings as bridge
from svc.characters import pack
from svc.llm import choice, settings
from svc.quality import settings as quality
from svc.retriever import settings as retriever
from svc.router import settings as router


def check(environ: Mapping[str, str]) -> None:
    """Read what the services will read. Raises ConfigError for the first thing that is wrong.

    An Ollama that is named must answer and have the model; one that is not named is only used if it does.
    """
    common = config.read(config.Common, environ)
    pack.load(common.characters_path())
    knowledge = common.knowledge_path()
    if not knowledge.is_dir():
        raise errors.ConfigError(f"{knowledge} is no folder: QUAHOG_KNOWLEDGE must be one with articles")
    for kind in (bridge.Settings, quality.Settings, retriever.Settings, router.Settings):
        config.read(kind, environ)
    anyio.run(_model, config.read(settings.Settings, environ))


async def _model(wanted: settings.Settings) -> None:
    chosen = await choice.choose(wanted)
    await chosen.engine.close()
