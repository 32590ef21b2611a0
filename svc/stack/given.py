"""Servers the user named by URL: used as they are, never started, but looked at before anything starts."""

from __future__ import annotations

import urllib.parse

import anyio
import redis.asyncio
import redis.exceptions

from svc import config, errors
from svc.stack import chroma, probe

NATS_PORT = 4222


async def check_nats(url: str) -> None:
    """Raises StackError unless one of the servers (`nats://a,nats://b`) greets us."""
    for each in url.split(","):
        server = _split(each.strip(), "QUAHOG_NATS_URL")
        line = await probe.ask(server.hostname or "", server.port or NATS_PORT)
        if line.startswith(b"INFO "):
            return
    raise _unreachable("QUAHOG_NATS_URL", url, "no NATS server answers there")


async def check_cache(url: str) -> None:
    """Raises StackError unless it answers a PING (so the password is right, too)."""
    try:
        client = redis.asyncio.Redis.from_url(url)
    except ValueError as error:
        raise _unreachable("QUAHOG_CACHE_URL", url, str(error)) from None
    try:
        with anyio.fail_after(probe.ANSWER_S):
            await client.ping()
    except (redis.exceptions.RedisError, OSError, TimeoutError) as error:
        raise _unreachable("QUAHOG_CACHE_URL", url, str(error) or "no answer") from None
    finally:
        await client.aclose()


async def check_chroma(url: str) -> None:
    """Raises StackError unless its heartbeat answers."""
    _split(url, "QUAHOG_CHROMA_URL")
    if await probe.get(url.rstrip("/") + chroma.HEARTBEAT) is None:
        raise _unreachable("QUAHOG_CHROMA_URL", url, "no Chroma server answers there")


def _split(url: str, variable: str) -> urllib.parse.SplitResult:
    try:
        found = urllib.parse.urlsplit(url)
        if found.hostname and found.port != 0:  # `port` raises for nonsense
            return found
    except ValueError:
        pass
    raise _unreachable(variable, url, "that is not a URL with a host")


def _unreachable(variable: str, url: str, why: str) -> errors.StackError:
    shown = config.USERINFO.sub("…", url)
    return errors.StackError(
        f"{variable}={shown} can't be used ({why}): correct it, or unset it to have one started"
    )
