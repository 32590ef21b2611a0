"""One character on Discord: hears what people say, posts what the character says, and nothing in between.

A process is one character (`CHARACTER=peter`); one bot token = one process.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

from svc import config
from svc.bus import service
from svc.discord import directory, endpoint, hearing, indicator, login, posting, settings
from svc.wire import message

NAME = "discord"
SLOTS = 4
"""Answers posted at once: one slow channel must not hold up the others."""


@contextlib.asynccontextmanager
async def open(app: service.App) -> service.Opened:
    """Log in and stay so in the background. Raises ConfigError for a setting that is missing or wrong.

    A token or an intent that Discord refuses ends `app.tasks` with a ConfigError.
    """
    own = settings.read()
    endpoint.choose(own.discord_api, own.discord_gateway)
    who = directory.Directory(app.bus, own.character)
    ear = hearing.Ear(app.bus, own.character, who)
    entry = login.Login(own, heard=ear.catch, identified=who.logged_in)
    poster = posting.Poster(app.bus, entry.connection, own.discord_nonce_memory_s)
    sign = indicator.Indicator(app.bus, own.character, entry.connection)
    for background in (who.run, ear.run, sign.run, entry.run):
        app.tasks.start_soon(background)

    def counters() -> Mapping[str, float]:
        return {
            "discord_heard_total": ear.counts["published"] + ear.counts["repeated"],
            "discord_heard_first_total": ear.counts["published"],
            "discord_heard_lost_total": ear.counts["lost"],
            "discord_posted_total": poster.counts["posted"],
            "discord_undelivered_total": poster.counts["undelivered"],
            "discord_logins_total": entry.logins,
        }

    def gauges() -> Mapping[str, float]:
        return {"discord_connected": float(entry.connected()), "discord_cast_known": len(who)}

    yield service.Service(
        name=NAME,
        describe="One identity on Discord: hears, and posts what it is told",
        listens=(
            service.Listen(
                consumer=f"{NAME}-{own.character}",
                subject=f"say.{NAME}.{own.character}",
                body=message.Say,
                handler=poster.post,
                slots=SLOTS,
            ),
        ),
        health=entry.health,
        counters=counters,
        gauges=gauges,
        settings=config.shown(own),
    )
