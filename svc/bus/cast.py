"""Asking `characters` for the cast at start, for services that need it before they can be ready."""

from __future__ import annotations

import logging

import anyio

from svc.bus import api, errors, subjects
from svc.wire import characters

log = logging.getLogger(__name__)

TRY_S = 5.0
PAUSE_S = 0.2


async def wait(bus: api.Bus) -> tuple[characters.Pack, ...]:
    """Every pack, asked again until the service answers: services start in any order."""
    turn, n = subjects.short_hash("cast", bus.instance), 0
    while True:
        try:
            cast = await bus.call(
                "characters",
                "list",
                characters.ListRequest(),
                characters.Cast,
                turn=turn,
                n=n,
                within_s=TRY_S,
            )
        except errors.BusError as error:
            log.info("waiting for the characters: %s", error)
            n += 1
            await anyio.sleep(PAUSE_S)
        else:
            return cast.packs
