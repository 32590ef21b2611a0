"""The router: what it answers and what it listens to."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from svc import config
from svc.bus import cast, limits, service
from svc.router import orchestrate, settings, turns
from svc.wire import router, turn

NAME = "router"
LISTENS = (
    ("router-turns", "turn.user"),
    ("router-plans", "turn.organic"),
    ("router-plans", "turn.idle"),
)
"""Consumer and subject of everything it runs."""


@contextlib.asynccontextmanager
async def open(app: service.App) -> AsyncIterator[service.Service]:
    """Composition root of the router."""
    options = config.read(settings.Settings)
    packs = await cast.wait(app.bus)
    runner = turns.Runner(app.bus, app.cache, options)
    door = orchestrate.Door(app.bus, frozenset(pack.id for pack in packs))
    slots = options.router_slots
    yield service.Service(
        name=NAME,
        describe="Runs turns: facts, attempts, the gate, one recorded outcome",
        answers=(
            service.Answer(
                "orchestrate", router.OrchestrateRequest, router.Orchestrated, door.orchestrate, slots=slots
            ),
        ),
        listens=(
            *(
                service.Listen(consumer, subject, turn.Turn, runner.run, slots, buried=runner.given_up)
                for consumer, subject in LISTENS
            ),
        ),
        health=runner.health,
        counters=runner.counters,
        gauges=runner.gauges,
        settings=config.shown(options) | {"turn_deadline_s": limits.TURN_S},
    )
