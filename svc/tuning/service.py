"""Fine tuning: what it answers and what it listens to."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from svc.bus import service
from svc.tuning import desk, ledger
from svc.wire import tuning, turn

NAME = "tuning"


@contextlib.asynccontextmanager
async def open(app: service.App) -> AsyncIterator[service.Service]:
    """Composition root of fine tuning."""
    place = desk.Desk(app.cache, ledger.Ledger(app.bus))
    yield service.Service(
        name=NAME,
        describe="Records how turns end, advises how the next attempt is made",
        answers=(
            service.Answer("advise", tuning.AdviseRequest, tuning.Advice, place.advise),
            service.Answer("report", tuning.ReportRequest, tuning.Report, place.report),
        ),
        listens=(service.Listen("tuning-outcomes", "evt.turn.ended", turn.Ended, place.ended, slots=1),),
        health=app.cache.health,
    )
