"""The pure decisions: what an error of Discord means, and how long to wait."""

from __future__ import annotations

from typing import cast

import aiohttp
import discord
import discord.http
import pytest

from svc import errors as top
from svc.bus import errors
from svc.discord import endpoint, login, place, posting, refusal


class Response:
    """As much of aiohttp's response as discord.py's errors read."""

    def __init__(self, status: int) -> None:
        self.status = status
        self.reason = "no"


def refused(kind: type[discord.HTTPException], status: int, code: int = 0) -> discord.HTTPException:
    response = cast("aiohttp.ClientResponse", Response(status))
    return kind(response, {"code": code, "message": "No"})


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (refused(discord.Forbidden, 403, 50013), "forbidden"),
        (refused(discord.NotFound, 404, 10003), "unknown_channel"),
    ],
)
def test_a_no_is_given_up(error: Exception, reason: str) -> None:
    decided = refusal.decide(error, 1)
    assert isinstance(decided, refusal.Undelivered)
    assert decided.reason == reason
    assert "No" in str(decided)


@pytest.mark.parametrize(
    "error",
    [
        refused(discord.DiscordServerError, 503),
        refused(discord.HTTPException, 429),
        refused(discord.HTTPException, 401),
        TimeoutError(),
        ConnectionResetError("gone"),
        aiohttp.ClientConnectionError("gone"),
        RuntimeError("Session is closed"),
    ],
)
def test_trouble_is_tried_again_later_and_later(error: Exception) -> None:
    delays = []
    for deliveries in range(1, 6):
        decided = refusal.decide(error, deliveries)
        assert isinstance(decided, errors.Retry)
        assert str(decided)
        delays.append(decided.after_s)
    assert delays == [5, 10, 20, 40, 60]


def test_a_wrong_request_is_a_bug_and_stays_one() -> None:
    for error in (refused(discord.HTTPException, 400), ValueError("bad"), KeyError("bad")):
        assert refusal.decide(error, 1) is error


def test_logins_grow_rarer_and_are_spread() -> None:
    assert [login.delay_s(failures, 1.0) for failures in (1, 2, 3, 9, 10, 5000)] == [1, 2, 4, 256, 300, 300]
    assert login.delay_s(10, 0.0) == 225
    assert 24 * 3600 / login.delay_s(10, 0.0) < 1000


def test_a_nonce_is_short_and_the_same_every_time() -> None:
    nonces = {posting.nonce(turn, piece) for turn in ("t1", "t" * 64) for piece in range(20)}
    assert len(nonces) == 40
    assert max(map(len, nonces)) <= 25
    assert posting.nonce("t1", 0) == posting.nonce("t1", 0)


def test_channels_are_scoped() -> None:
    assert place.native(place.scoped(123)) == 123
    for wrong in ("console-1", "discord-", "discord-x", "123"):
        with pytest.raises(ValueError, match="not a channel"):
            place.native(wrong)


def test_another_server_needs_internals_of_discord_py(monkeypatch: pytest.MonkeyPatch) -> None:
    before = discord.http.Route.BASE
    endpoint.choose("", "")
    assert before == discord.http.Route.BASE
    monkeypatch.delattr(discord.http.Route, "BASE")
    with pytest.raises(top.ConfigError, match="QUAHOG_DISCORD_API"):
        endpoint.choose("http://127.0.0.1:1/api/v10", "ws://127.0.0.1:1/")
