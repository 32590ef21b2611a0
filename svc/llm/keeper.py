"""Keeps the model warm, notices when it goes away, and brings it back."""

from __future__ import annotations

import logging

import anyio

from svc import errors
from svc.llm import engine
from svc.wire import status

log = logging.getLogger(__name__)

CHECK_S = 5.0
"""How often the engine is asked whether it is there; the question is cheap."""


class Keeper:
    """Health of one engine. `ok` only while a generation would start at once."""

    def __init__(self, kept: engine.Engine, check_s: float = CHECK_S) -> None:
        self._engine = kept
        self._check_s = check_s
        self._reason = "the model is waking up"
        self._watching = anyio.CancelScope()

    def health(self) -> status.Health:
        if self._reason:
            return status.Health(level="degraded", reasons=(self._reason,))
        return status.Health()

    async def warm(self) -> None:
        """Load the model. Raises ConfigError, EngineError."""
        self._reason = "the model is waking up"
        await self._engine.warm()
        self._reason = ""

    def suspect(self, error: engine.EngineError) -> None:
        """A generation failed. (A prompt that the engine refuses says nothing about its health.)"""
        if not isinstance(error, engine.BadPrompt):
            self._reason = str(error)

    async def watch(self) -> None:
        """Until stopped: check, and warm again what had failed."""
        with self._watching:
            while True:
                await anyio.sleep(self._check_s)
                await self._look()

    def stop(self) -> None:
        self._watching.cancel()

    async def _look(self) -> None:
        try:
            await self._engine.check()
            if self._reason:
                await self.warm()
                log.info("the model is back")
        except (engine.EngineError, errors.ConfigError) as error:
            if self._reason != str(error):
                log.warning("model degraded: %s", error)
            self._reason = str(error)
