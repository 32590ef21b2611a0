"""`python -m tests.fake_discord [port]`: a small world to play with; prints its tokens and ids as JSON."""

from __future__ import annotations

import asyncio
import json
import sys

from tests.fake_discord import server


async def serve(port: int) -> None:
    discord = server.FakeDiscord()
    lois = discord.world.add_user("Lois", token="human")
    bots = {name: discord.world.add_user(name, bot=True) for name in ("Peter", "Brian", "Stewie")}
    guild = discord.world.add_guild("Quahog", lois, [lois, *bots.values()])
    channel = discord.world.add_channel(guild, "drunken-clam")
    async with discord.running(port):
        shown = {
            "base": discord.base,
            "gateway": discord.gateway.url,
            "human_token": "human",
            "guild": guild["id"],
            "channel": channel["id"],
            "bots": {name: {"id": bot["id"], "token": f"tok-{name}"} for name, bot in bots.items()},
        }
        sys.stdout.write(json.dumps(shown) + "\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]) if sys.argv[1:] else 0))
