"""The fake is believed only as far as discord.py's own, unpatched client believes it."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import anyio
import discord
import pytest
from discord import app_commands

from tests.fake_discord import gateway, interactions, protocol, server
from tests.fake_discord.protocol import Json

pytestmark = pytest.mark.anyio

WITHIN_S = 5.0


class Client(discord.Client):
    """Records what it is told."""

    def __init__(self, *, content: bool) -> None:
        intents = discord.Intents(
            guilds=True, messages=True, reactions=True, typing=True, message_content=content
        )
        super().__init__(intents=intents, guild_ready_timeout=0.05)
        self.events: list[tuple[str, Any]] = []
        self.commands = app_commands.CommandTree(self)

    async def on_message(self, message: discord.Message) -> None:
        self.events.append(("message", message))

    async def on_message_edit(self, _before: discord.Message, after: discord.Message) -> None:
        self.events.append(("edit", after.content))

    async def on_raw_reaction_add(self, payload: discord.RawReactionActionEvent) -> None:
        self.events.append(("reaction", str(payload.emoji)))

    async def on_thread_create(self, thread: discord.Thread) -> None:
        self.events.append(("thread", thread.name))

    async def on_typing(self, *_: Any) -> None:
        self.events.append(("typing", ""))

    def of(self, kind: str) -> list[Any]:
        return [value for name, value in self.events if name == kind]


@dataclasses.dataclass(slots=True)
class Clam:
    """One bot, one person, one channel."""

    fake: server.FakeDiscord
    client: Client
    lois: Json
    peter: Json
    json: Json
    """The channel as the fake has it."""

    @property
    def channel(self) -> discord.TextChannel:
        channel = self.client.get_channel(int(self.json["id"]))
        assert isinstance(channel, discord.TextChannel)
        return channel

    async def use(self, name: str) -> None:
        """Lois uses a slash command."""
        command = {"id": "1", "name": name, "type": 1, "options": []}
        body = {
            "type": 2,
            "application_id": self.peter["id"],
            "channel_id": self.json["id"],
            "data": command,
        }
        async with aiohttp.ClientSession(headers={"Authorization": "tok-Lois"}) as session:
            await session.post(f"{self.fake.base}/interactions", json=body)

    def contents(self) -> list[str]:
        return [one["content"] for one in self.fake.posted(self.peter)]


@contextlib.asynccontextmanager
async def clam(*, content: bool = True, **options: Any) -> AsyncIterator[Clam]:
    fake = server.FakeDiscord(**{"rate": (50, 1.0), **options})
    lois, peter = fake.world.add_user("Lois"), fake.world.add_user("Peter", bot=True)
    channel = fake.world.add_channel(fake.world.add_guild("Quahog", lois, [lois, peter]), "clam")
    async with fake.running(), anyio.create_task_group() as tasks:
        with fake.patched():
            client = Client(content=content)
            await client.login("tok-Peter")
            tasks.start_soon(client.connect)
            with anyio.fail_after(WITHIN_S):
                await client.wait_until_ready()
            yield Clam(fake, client, lois, peter, channel)
            await client.close()


async def until(true: Callable[[], object]) -> None:
    with anyio.fail_after(WITHIN_S):
        while not true():
            await anyio.sleep(0.005)


@pytest.mark.parametrize("compress", [True, False])
async def test_chatting(compress: bool) -> None:
    async with clam(compress=compress, heartbeat_ms=50) as at:
        await at.fake.say(at.lois, at.json, "hi")
        await until(lambda: at.client.of("message"))
        (heard,) = at.client.of("message")
        async with heard.channel.typing():
            answer = await heard.reply("hello", nonce="n1")
        again = await heard.channel.send("hello", nonce="n1")
        assert again.id == answer.id
        await answer.edit(content="hello!")
        await answer.add_reaction("👍")
        thread = await heard.create_thread(name="beer")
        await thread.send("in here")
        assert thread.id == heard.id
        await until(lambda: at.client.of("thread") and at.client.of("reaction"))
        assert at.contents() == ["hello!", "in here"]
        assert [one.content async for one in at.channel.history(oldest_first=True)] == ["hi", "hello!"]
        await answer.delete()
        with pytest.raises(discord.NotFound):
            await at.channel.fetch_message(answer.id)
        await until(lambda: at.fake.gateway.counts["heartbeat"] > 1)


async def test_nonces_are_forgotten_and_limits_hold() -> None:
    async with clam(nonce_memory_s=0.05) as at:
        first = await at.channel.send("once", nonce="n1")
        await anyio.sleep(0.06)
        assert (await at.channel.send("once", nonce="n1")).id != first.id
        for content, nonce in (("x" * 2001, "n2"), ("", "n3"), ("long nonce", "n" * 26)):
            with pytest.raises(discord.HTTPException, match="400"):
                await at.channel.send(content, nonce=nonce)


async def test_rate_limits_are_kept_by_the_client() -> None:
    async with clam(rate=(2, 0.3)) as at:
        started = time.monotonic()
        for number in range(4):
            await at.channel.send(str(number))
        assert 0.25 < time.monotonic() - started < 2
        assert not [one for one in at.fake.rest.log if one.status == 429]
        at.fake.faults.order_429("POST", "/messages$", 0.05)
        at.fake.faults.order_429("POST", "/messages$", 0.05, everywhere=True)
        await at.channel.send("4")
        assert at.contents() == ["0", "1", "2", "3", "4"]


async def test_without_the_content_intent_only_mentions_are_read() -> None:
    async with clam(content=False) as at:
        await at.fake.say(at.lois, at.json, "secret")
        await at.fake.say(at.lois, at.json, f"<@{at.peter['id']}> hi")
        direct = at.fake.world.direct_channel(at.lois, at.peter["id"])
        await at.fake.say(at.lois, direct, "psst")
        await until(lambda: len(at.client.of("message")) == 3)
        assert [one.content for one in at.client.of("message")] == ["", f"<@{at.peter['id']}> hi", "psst"]


async def test_mentions_only_as_far_as_allowed() -> None:
    async with clam() as at:
        text = f"<@{at.lois['id']}> @everyone"
        loud = await at.channel.send(text)
        quiet = await at.channel.send(text, allowed_mentions=discord.AllowedMentions.none())
        assert (len(loud.mentions), loud.mention_everyone) == (1, True)
        assert (len(quiet.mentions), quiet.mention_everyone) == (0, False)


async def test_a_client_too_far_behind_cannot_resume(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway, "REPLAY_MAX", 3)
    session = gateway.Session("s", {"id": "1"}, 0)
    for number in range(1, 6):
        await session.event("TYPING_START", {"number": number})
    assert [session.can_resume(sequence) for sequence in range(6)] == [False, False, True, True, True, True]


async def test_a_slash_command_is_answered_deferred_and_followed_up(monkeypatch: pytest.MonkeyPatch) -> None:
    async with clam() as at:
        failed: list[Exception] = []

        @at.client.commands.command(name="ask", description="Ask")
        async def ask(interaction: discord.Interaction) -> None:
            await interaction.response.defer()
            await interaction.edit_original_response(content="thinking")
            await interaction.followup.send("more")
            await interaction.followup.send("only you", ephemeral=True)

        @at.client.commands.command(name="late", description="Late")
        async def late(interaction: discord.Interaction) -> None:
            try:
                await interaction.response.send_message("sorry")
            except discord.NotFound as error:
                failed.append(error)

        assert {command.name for command in await at.client.commands.sync()} == {"ask", "late"}
        await at.use("ask")
        await until(lambda: len(at.contents()) == 3)
        assert at.contents() == ["thinking", "more", "only you"]
        assert at.fake.posted(at.peter)[-1]["flags"] & protocol.EPHEMERAL
        await until(lambda: len(at.client.of("message")) == 2)  # the ephemeral one is nobody's event
        monkeypatch.setattr(interactions, "FIRST_ANSWER_S", 0.0)
        await at.use("late")
        await until(lambda: failed)
        assert "10062" in str(failed[0])


async def test_tokens_are_checked() -> None:
    async with clam() as at, aiohttp.ClientSession() as session:
        for given, status in (("Bot tok-Peter", 200), ("tok-Peter", 401), ("tok-Lois", 200), ("Bot x", 401)):
            async with session.get(f"{at.fake.base}/users/@me", headers={"Authorization": given}) as answer:
                assert answer.status == status
