"""The Discord surface with discord.py's own clients, unpatched, against the fake Discord."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Literal, TypeVar

import anyio
import anyio.abc
import discord
import msgspec
import pytest

from svc import cache, config, errors
from svc.bus import connection, job, limits, memory, service, streams, subjects
from svc.bus import errors as bus_errors
from svc.discord import service as discord_service
from svc.wire import base, message, status, turn
from svc.wire import discord as discord_wire
from tests.fake_discord import protocol, server
from tests.fake_discord.protocol import Json

pytestmark = pytest.mark.anyio

CAST = ("peter", "brian", "stewie")
WITHIN_S = 10.0
POLL_S = 0.01
HEARD = "evt.message.heard.*.*"
POSTED = "evt.message.posted.*.*"

W = TypeVar("W", bound=msgspec.Struct)


class Broker(memory.Memory):
    """A broker in memory that can fail to store."""

    def __init__(self) -> None:
        super().__init__()
        self.refused = ""
        """Nothing is stored under this pattern."""

    async def append(
        self,
        subject: str,
        data: bytes,
        headers: Mapping[str, str],
        *,
        expect: int | None = 0,
        within_s: float = limits.APPEND_S,
    ) -> int:
        if self.refused and subjects.matches(self.refused, subject):
            raise bus_errors.NotAccepted("the broker can't be reached")
        return await super().append(subject, data, headers, expect=expect, within_s=within_s)


@dataclasses.dataclass(slots=True)
class Stage:
    """Quahog's Discord: Lois, the cast, and a channel; the cast's processes; what they record."""

    discord: server.FakeDiscord
    bus: connection.Connection
    broker: Broker
    """The broker behind `bus`, unless the test brought its own."""
    tasks: anyio.abc.TaskGroup
    stack: contextlib.AsyncExitStack
    monkeypatch: pytest.MonkeyPatch
    lois: Json
    bots: dict[str, Json]
    guild: Json
    clam: Json
    services: dict[str, service.Service] = dataclasses.field(default_factory=dict)

    async def start(self, character: str, token: str = "") -> None:
        """Open the service as its process does."""
        self.monkeypatch.setenv("CHARACTER", character)
        self.monkeypatch.setenv("QUAHOG_DISCORD_API", self.discord.base)
        self.monkeypatch.setenv("QUAHOG_DISCORD_GATEWAY", self.discord.gateway.url)
        self.monkeypatch.setenv("DISCORD_TOKEN", token or f"tok-{character.title()}")
        unused = cache.Cache.connect("redis://127.0.0.1:1/0")
        app = service.App(bus=self.bus, cache=unused, common=config.Common(), tasks=self.tasks)
        self.services[character] = await self.stack.enter_async_context(discord_service.open(app))

    def connected(self, *characters: str) -> bool:
        """These are connected and know everybody who was started."""
        gauges = [self.services[name].gauges() for name in characters]
        known = len(self.services)
        return all(one["discord_connected"] and one["discord_cast_known"] == known for one in gauges)

    async def recorded(self, pattern: str, kind: type[W]) -> list[W]:
        stream = streams.stream_of(pattern)
        assert stream
        return [base.decode(one.data, kind) for one in await self.bus.broker.latest(stream, [pattern])]

    async def heard(self, count: int) -> list[message.Heard]:
        """What was heard, once it is that much. In the order of its recording."""
        with anyio.fail_after(WITHIN_S):
            while len(heard := await self.recorded(HEARD, message.Heard)) < count:
                await anyio.sleep(POLL_S)
        return heard

    async def posted(self) -> list[message.Posted]:
        return await self.recorded(POSTED, message.Posted)

    async def undelivered(self) -> list[message.Undelivered]:
        return await self.recorded("evt.turn.undelivered.*.*", message.Undelivered)

    def contents(self, character: str) -> list[str]:
        """What stands in the channel from this character."""
        return [posted["content"] for posted in self.discord.posted(self.bots[character], self.clam)]

    def say(self, text: str, **fields: Any) -> message.Say:
        channel = f"discord-{self.clam['id']}"
        defaults: dict[str, Any] = {"turn": "t1", "character": "peter", "channel": channel}
        return message.Say(surface="discord", guild=self.guild["id"], text=text, **defaults | fields)

    async def deliver(
        self, say: message.Say, *, age_s: float = 0.0, deliveries: int = 1, buried_s: float = 0.0
    ) -> None:
        """What the bus does with a `say` that was stored `age_s` ago, and first `buried_s` before that."""
        (listen,) = self.services[say.character].listens
        delivery = job.Job(
            bus=self.bus,
            subject=subjects.parse(subjects.say("discord", say.character, say.turn)),
            deadline=time.time() + 60,
            stored_at=time.time() - age_s,
            first_at=time.time() - age_s - buried_s,
            repeated=buried_s > 0,
            sequence=1,
            deliveries=deliveries,
        )
        await listen.handler(say, delivery)


@contextlib.asynccontextmanager
async def stage(monkeypatch: pytest.MonkeyPatch, *characters: str) -> AsyncIterator[Stage]:
    """Everything up, and these characters connected and known to one another."""
    async with set_up(monkeypatch) as up:
        # Something is always in the log already; `test_a_late_comer…` is about when it isn't.
        await up.bus.publish("evt.index.changed.v1.0", message.Author(id="anything"))
        for name in characters:
            await up.start(name)
        await until(lambda: up.connected(*characters))
        yield up


@contextlib.asynccontextmanager
async def set_up(
    monkeypatch: pytest.MonkeyPatch, bus: connection.Connection | None = None
) -> AsyncIterator[Stage]:
    """A world and a bus, and nobody of the cast yet. All that is started in it ends with it."""
    discord = server.FakeDiscord(rate=(100, 1.0))
    lois = discord.world.add_user("Lois")
    bots = {name: discord.world.add_user(name.title(), bot=True) for name in CAST}
    guild = discord.world.add_guild("Quahog", lois, [lois, *bots.values()])
    clam = discord.world.add_channel(guild, "drunken-clam")
    broker = Broker()
    bus = bus or connection.Connection(broker, "test")
    async with discord.running(), contextlib.AsyncExitStack() as stack, anyio.create_task_group() as tasks:
        stack.enter_context(discord.patched())  # puts back what the services set for the whole process
        yield Stage(discord, bus, broker, tasks, stack, monkeypatch, lois, bots, guild, clam)
        tasks.cancel_scope.cancel()


async def until(true: Callable[[], object], within_s: float = WITHIN_S) -> None:
    """Poll, with a deadline: what is waited for happens in discord.py and in the fake."""
    with anyio.fail_after(within_s):
        while not true():
            await anyio.sleep(POLL_S)


# -- hearing ---------------------------------------------------------------------------------------------


async def test_three_bots_hear_a_message_once(
    monkeypatch: pytest.MonkeyPatch, bus: connection.Connection
) -> None:
    async with set_up(monkeypatch, bus) as up:
        for name in CAST:
            await up.start(name)
        await until(lambda: up.connected(*CAST))
        said = await up.discord.say(up.lois, up.clam, "Where is everybody?")
        (heard,) = await up.heard(1)
        assert heard == message.Heard(
            message=subjects.message_id("discord", said["id"]),
            native=said["id"],
            surface="discord",
            channel=f"discord-{up.clam['id']}",
            author=message.Author(id=up.lois["id"], name="Lois"),
            text="Where is everybody?",
            guild=up.guild["id"],
            at=heard.at,
        )
        assert abs(heard.at - time.time()) < 5

        def counted(name: str) -> float:
            return sum(one.counters()[name] for one in up.services.values())

        await until(lambda: counted("discord_heard_total") == 3)
        assert counted("discord_heard_first_total") == 1
        shown = [
            status.Vitals(
                health=one.health(),
                counters=dict(one.counters()),
                gauges=dict(one.gauges()),
                config=dict(one.settings),
            )
            for one in up.services.values()
        ]
        assert "tok-" not in str(shown)
        assert [base.decode(base.encode(vitals), status.Vitals) for vitals in shown] == shown


async def test_whoever_hears_it_first_knows_who_is_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    async with set_up(monkeypatch) as up:
        role = up.discord.world.add_bot_role(up.guild, up.bots["brian"])
        for name in CAST:
            await up.start(name)
        await until(lambda: up.connected(*CAST))
        peter, _, stewie = (up.bots[name]["id"] for name in CAST)
        await up.discord.say(up.lois, up.clam, f"<@{stewie}>, ask <@!{peter}>, not <@{up.lois['id']}>")
        line = await up.discord.messages.post(up.bots["brian"], up.clam, {"content": "I'm a dog."})
        reference = {"message_id": line["id"]}
        await up.discord.say(up.lois, up.clam, "So?", message_reference=reference)
        quiet: Json = {"parse": [], "replied_user": False}
        await up.discord.say(up.lois, up.clam, "So??", message_reference=reference, allowed_mentions=quiet)
        await up.discord.say(up.lois, up.clam, f"<@&{role['id']}> there?")
        heard = await up.heard(4)
        assert [one.to for one in heard] == [("stewie", "peter"), ("brian",), ("brian",), ("brian",)]
        assert [one.reply_to for one in heard] == ["", line["id"], line["id"], ""]
        assert [one.text for one in heard] == [
            "@Stewie, ask @Peter, not @Lois",
            "So?",
            "So??",
            "@Brian there?",
        ]


async def test_a_late_comer_knows_the_others_even_one_that_is_away(
    monkeypatch: pytest.MonkeyPatch, bus: connection.Connection
) -> None:
    async with set_up(monkeypatch, bus) as up:
        stewie = up.bots["stewie"]["id"]
        await up.start("brian")  # whose announcement is the first message of the stream: not to be followed
        await until(lambda: up.connected("brian"))
        for n, user in enumerate(("1", stewie)):  # a wrong token at first, put right later
            announced = discord_wire.Identified(character="stewie", user=user)
            await up.bus.publish(subjects.event("service", "identified", user, n), announced)
        await until(lambda: up.services["brian"].gauges()["discord_cast_known"] == 2)
        await up.start("peter")
        await until(lambda: up.services["peter"].gauges()["discord_cast_known"] == 3)
        await up.discord.say(up.lois, up.clam, f"<@{stewie}> <@{up.bots['brian']['id']}>!")
        (heard,) = await up.heard(1)
        assert heard.to == ("stewie", "brian")


async def test_text_is_what_a_person_sees(monkeypatch: pytest.MonkeyPatch) -> None:
    async with stage(monkeypatch, "peter") as up:
        wave: Json = {"id": "900000000000000001", "name": "Wave", "format_type": 1}
        await up.discord.say(
            up.lois,
            up.clam,
            f"look <a:giggity:123456789012345678> in <#{up.clam['id']}> {{braces}} @everyone\x07",
            _files=[{"filename": "cat.png", "size": 3}],
            sticker_items=[wave],
        )
        await up.discord.say(up.lois, up.clam, "", _files=[{"filename": "beer.gif", "size": 3}])
        await up.discord.say(up.lois, up.clam, "<:beer:123456789012345678>" * 70)
        texts = [one.text for one in await up.heard(3)]
        assert texts == [
            "look :giggity: in #drunken-clam {braces} @\u200beveryone\n[attachment: cat.png] [sticker: Wave]",
            "[attachment: beer.gif]",
            ":beer:" * 70,
        ]


async def test_bots_and_webhooks_are_not_heard_and_order_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    async with stage(monkeypatch, "peter", "brian") as up:
        stranger = up.discord.world.add_user("Music", bot=True)
        hook = {"id": "900000000000000002", "username": "hook", "discriminator": "0000", "avatar": None}
        messages = up.discord.messages
        await messages.post(up.bots["peter"], up.clam, {"content": "from peter"})
        await messages.post(stranger, up.clam, {"content": "from a stranger"})
        await messages.post(hook, up.clam, {"content": "from a webhook"}, webhook_id=hook["id"])
        await messages.post(up.lois, up.clam, {"content": "joined"}, type=7)
        for number in range(20):
            await up.discord.say(up.lois, up.clam, str(number))
        assert [one.text for one in await up.heard(20)] == [str(number) for number in range(20)]


async def test_a_direct_message_is_meant_for_its_bot(monkeypatch: pytest.MonkeyPatch) -> None:
    async with stage(monkeypatch, "peter", "brian") as up:
        direct = up.discord.world.direct_channel(up.lois, up.bots["brian"]["id"])
        await up.discord.say(up.lois, direct, "psst")
        (heard,) = await up.heard(1)
        assert (heard.to, heard.guild, heard.channel) == (("brian",), "", f"discord-{direct['id']}")


async def test_what_was_said_while_the_broker_was_away_is_published_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with stage(monkeypatch, "peter") as up:
        up.broker.refused = HEARD
        await up.discord.say(up.lois, up.clam, "anybody?")
        await up.discord.say(up.lois, up.clam, "hello?")
        await anyio.sleep(0.1)
        up.broker.refused = ""
        assert [one.text for one in await up.heard(2)] == ["anybody?", "hello?"]


# -- posting ---------------------------------------------------------------------------------------------


async def test_an_answer_is_a_silent_reply_with_a_receipt(monkeypatch: pytest.MonkeyPatch) -> None:
    async with stage(monkeypatch, "peter") as up:
        said = await up.discord.say(up.lois, up.clam, "Beer?")
        text = f"Hehehe {{yes}} <@{up.lois['id']}> @everyone @HERE"
        say = up.say(text, reply_to=said["id"], notice=True)
        await up.deliver(say)
        (posted,) = up.discord.posted(up.bots["peter"])
        shown = f"Hehehe {{yes}} <@{up.lois['id']}> @\u200beveryone @\u200bHERE"
        assert posted["content"] == shown
        assert (posted["mentions"], posted["mention_everyone"]) == ([], False)
        assert posted["message_reference"]["message_id"] == said["id"]
        (receipt,) = await up.posted()
        assert receipt == message.Posted(
            turn="t1",
            piece=0,
            surface="discord",
            channel=say.channel,
            character="peter",
            text=shown,
            guild=up.guild["id"],
            native=posted["id"],
            reply_to=said["id"],
            at=receipt.at,
            notice=True,
        )
        assert len(await up.heard(1)) == 1  # its own post was not heard


async def test_the_message_to_answer_may_be_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    async with stage(monkeypatch, "peter") as up:
        said = await up.discord.say(up.lois, up.clam, "Beer?")
        await up.discord.messages.delete(up.clam["id"], said["id"])
        await up.deliver(up.say("Too late?", reply_to=said["id"]))
        assert up.contents("peter") == ["Too late?"]


async def test_a_redelivery_posts_nothing_twice_whatever_was_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    async with stage(monkeypatch, "peter") as up:
        said = await up.discord.say(up.lois, up.clam, "Beer?")
        say = up.say("word " * 500, reply_to=said["id"])
        up.broker.refused = POSTED  # each time it dies between the post and its receipt
        with pytest.raises(bus_errors.Retry):
            await up.deliver(say)
        with pytest.raises(bus_errors.Retry):
            await up.deliver(say, deliveries=2, age_s=10)
        assert len(up.contents("peter")) == 1  # Discord remembered the nonce
        up.discord.messages.nonce_memory_s = 0.0
        with pytest.raises(bus_errors.Retry):
            await up.deliver(say, deliveries=3, age_s=150)
        assert len(up.contents("peter")) == 1  # it forgot, but the channel's history knew
        with pytest.raises(bus_errors.Retry):
            await up.deliver(up.say("once", turn="t2"))
        with pytest.raises(bus_errors.Retry):
            await up.deliver(up.say("once", turn="t2"), deliveries=2, age_s=10)
        assert up.contents("peter")[1:] == ["once", "once"]  # what happens without either

        up.broker.refused = ""
        await up.deliver(say, deliveries=4, age_s=160)
        posted = up.discord.posted(up.bots["peter"])
        assert [one.native for one in await up.posted()] == [posted[0]["id"], posted[3]["id"]]
        requests = len(up.discord.rest.log)
        await up.deliver(say, deliveries=5, age_s=170)
        assert len(up.discord.rest.log) == requests  # the receipts say it all


async def test_a_retried_dead_letter_is_not_posted_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is a new message of the stream, but what it says may stand in the channel for long."""
    async with stage(monkeypatch, "peter") as up:
        up.broker.refused = POSTED  # it died between the post and its receipt, and was buried
        with pytest.raises(bus_errors.Retry):
            await up.deliver(up.say("once"))
        up.broker.refused = ""
        up.discord.messages.nonce_memory_s = 0.0
        for _ in range(2):
            await up.deliver(up.say("once"), buried_s=150)
        assert up.contents("peter") == ["once"]
        assert len(await up.posted()) == 1


async def test_equal_pieces_are_told_apart_in_the_history(monkeypatch: pytest.MonkeyPatch) -> None:
    async with stage(monkeypatch, "peter") as up:
        up.discord.messages.nonce_memory_s = 0.0
        up.broker.refused = "evt.message.posted.*.1"
        with pytest.raises(bus_errors.Retry):
            await up.deliver(up.say("a" * 6000))
        assert up.contents("peter") == ["a" * 2000] * 2
        up.broker.refused = ""
        await up.deliver(up.say("a" * 6000), deliveries=2, age_s=150)
        assert up.contents("peter") == ["a" * 2000] * 3
        assert len({one.native for one in await up.posted()}) == 3


async def test_the_same_words_to_somebody_else_are_another_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    async with stage(monkeypatch, "peter") as up:
        first = await up.discord.say(up.lois, up.clam, "Beer?")
        second = await up.discord.say(up.lois, up.clam, "More?")
        await up.deliver(up.say("Yes.", reply_to=first["id"]))
        await up.deliver(up.say("Yes.", reply_to=second["id"], turn="t2"), age_s=150)
        assert up.contents("peter") == ["Yes.", "Yes."]


async def test_still_unsure_means_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    async with stage(monkeypatch, "peter", "brian") as up:
        up.discord.faults.order("GET", "/messages$", 403, {"code": 50001, "message": "Missing Access"})
        await up.deliver(up.say("Was it me?"), deliveries=2, age_s=150)
        for number in range(200):
            await up.discord.say(up.lois, up.clam, str(number))
        await up.deliver(up.say("Was it me?", character="brian", turn="t2"), deliveries=2, age_s=150)
        assert up.contents("peter") == up.contents("brian") == []
        assert [(one.turn, one.reason) for one in await up.undelivered()] == [
            ("t1", "unsure"),
            ("t2", "unsure"),
        ]


async def test_a_long_answer_is_split_and_its_code_block_reopened(monkeypatch: pytest.MonkeyPatch) -> None:
    async with stage(monkeypatch, "peter") as up:
        code = "".join(f"beer[{number}] = 'cold'\n" for number in range(150))
        await up.deliver(up.say(f"Behold!\n```py\n{code}```"))
        first, second = up.contents("peter")
        assert first.startswith("Behold!\n```py\n") and first.endswith("```")
        assert second.startswith("```py\nbeer[") and second.endswith("```")
        assert [receipt.piece for receipt in await up.posted()] == [0, 1]


async def test_an_expired_answer_is_recorded_and_not_posted(monkeypatch: pytest.MonkeyPatch) -> None:
    async with stage(monkeypatch, "peter") as up:
        late = up.say("Wha?", expires_at=time.time() - 1)
        await up.deliver(late)
        assert up.contents("peter") == []
        (undelivered,) = await up.undelivered()
        assert (undelivered.reason, undelivered.turn, undelivered.piece) == ("expired", "t1", 0)
        # Posted in time, but the process died before the receipt: the redelivery finds it.
        up.broker.refused = POSTED
        with pytest.raises(bus_errors.Retry):
            await up.deliver(up.say("In time.", turn="t2"))
        up.broker.refused = ""
        await up.deliver(up.say("In time.", turn="t2", expires_at=time.time() - 1), deliveries=2)
        assert up.contents("peter") == ["In time."]
        assert [receipt.turn for receipt in await up.posted()] == ["t2"]
        # Begun in time: finished, although it expires on the way.
        up.discord.faults.order_429("POST", "/messages$", 0.3)
        await up.deliver(up.say("word " * 900, turn="t3", expires_at=time.time() + 0.2))
        assert len(up.contents("peter")) == 4


async def test_a_403_is_told_once_and_never_retried(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with stage(monkeypatch, "peter") as up:
        monkeypatch.setattr("svc.discord.posting.REFUSED_S", 0.5)
        up.discord.world.denied.add((up.bots["peter"]["id"], up.clam["id"]))
        await up.deliver(up.say("Hey!", turn="t0"))
        refused_at = time.monotonic()
        await anyio.sleep(0.3)
        for number in (1, 2):
            await up.deliver(up.say("Hey!", turn=f"t{number}"))
        refused = [one for one in up.discord.rest.log if one.status == 403]
        assert len(refused) == 1
        assert [one.reason for one in await up.undelivered()] == ["forbidden"] * 3
        (told,) = [one.getMessage() for one in caplog.records if one.levelname == "ERROR"]
        assert "Send Messages" in told and up.clam["id"] in told and "50013" in told
        # Allowed again; what was given up stays so, even when the broker forgets that it was acked.
        up.discord.world.denied.clear()
        await until(lambda: time.monotonic() > refused_at + 0.5)
        await up.deliver(up.say("Hey!", turn="t2"), age_s=5)
        assert up.contents("peter") == []
        await up.deliver(up.say("Hey again!", turn="t3"))
        assert up.contents("peter") == ["Hey again!"]


async def test_an_unknown_channel_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    async with stage(monkeypatch, "peter") as up:
        await up.deliver(up.say("Hello?", channel="discord-1"))
        assert [one.reason for one in await up.undelivered()] == ["unknown_channel"]
        with pytest.raises(ValueError, match="console-1"):
            await up.deliver(up.say("Hello?", turn="t2", channel="console-1"))


async def test_rate_limits_are_waited_for_and_outages_retried(monkeypatch: pytest.MonkeyPatch) -> None:
    async with stage(monkeypatch, "peter") as up:
        up.discord.faults.order_429("POST", "/messages$", 0.1)
        await up.deliver(up.say("Patience."))
        assert up.contents("peter") == ["Patience."]
        invalid = {"code": 50035, "message": "Invalid Form Body"}
        up.discord.faults.order("POST", "/messages$", 400, invalid)
        with pytest.raises(discord.HTTPException, match="400"):  # a bug of ours: the bus buries it
            await up.deliver(up.say("Nope.", turn="t2"))
        banned = {"message": "You are being blocked from accessing our API", "retry_after": 100.0}
        up.discord.faults.order("POST", "/messages$", 401, banned)
        with pytest.raises(bus_errors.Retry):
            await up.deliver(up.say("Later.", turn="t3"))


async def test_typing_is_shown_while_the_turn_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    async with stage(monkeypatch, "peter", "brian") as up:
        begun = turn.Turn(
            id="t1",
            origin="user",
            character="peter",
            surface="discord",
            channel=f"discord-{up.clam['id']}",
            message="m1",
            text="Beer?",
            author=message.Author(id="1"),
        )
        monkeypatch.setattr("svc.discord.indicator.RENEW_S", 0.1)

        def shown() -> list[str]:
            return [one.user for one in up.discord.rest.log if one.path.endswith("/typing")]

        await up.bus.publish("turn.user.peter.t1.0", begun)
        await until(lambda: shown() == ["Peter", "Peter"])
        ended = turn.Ended(
            turn="t1", outcome="answered", character="peter", surface="discord", channel=begun.channel
        )
        await up.bus.publish("evt.turn.ended.t1.0", ended)
        await anyio.sleep(0.05)
        before = len(shown())
        await anyio.sleep(0.3)
        assert len(shown()) == before


# -- staying connected ---------------------------------------------------------------------------------------


async def test_a_refused_token_says_how_to_fix_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ExceptionGroup) as caught:
        async with set_up(monkeypatch) as up:
            await up.start("peter", token="sEcReT-token")
            await anyio.sleep(WITHIN_S)
    (error,) = caught.value.exceptions
    assert isinstance(error, errors.ConfigError)
    assert "DISCORD_TOKEN_PETER" in str(error) and "Reset Token" in str(error)
    assert "sEcReT" not in repr(caught.value) + repr(error)


async def test_a_refused_intent_says_how_to_fix_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ExceptionGroup) as caught:
        async with set_up(monkeypatch) as up:
            up.discord.world.privileged[up.bots["peter"]["id"]] &= ~protocol.INTENT_CONTENT
            await up.start("peter")
            await anyio.sleep(WITHIN_S)
    (error,) = caught.value.exceptions
    assert isinstance(error, errors.ConfigError)
    assert "Message Content Intent" in str(error)


@pytest.mark.parametrize("how", ["abort", "op7", 4000])
async def test_nothing_is_lost_when_the_gateway_drops(
    monkeypatch: pytest.MonkeyPatch, how: Literal["abort", "op7"] | int
) -> None:
    async with stage(monkeypatch, "peter", "brian") as up:
        for name in ("peter", "brian"):
            await up.discord.gateway.disconnect(up.bots[name], how)
        await up.discord.say(up.lois, up.clam, "still there?")
        assert [one.text for one in await up.heard(1)] == ["still there?"]
        await until(lambda: up.discord.gateway.counts["resume"] == 2)
        await until(lambda: all(one.health().level == "ok" for one in up.services.values()))
        assert up.discord.gateway.counts["identify"] == 2  # resumed, not logged in again


async def test_a_client_that_dies_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    async with stage(monkeypatch, "peter") as up:
        await up.discord.gateway.tell(up.bots["peter"]["id"], "MESSAGE_CREATE", {"malformed": True})
        await until(lambda: up.services["peter"].counters()["discord_logins_total"] == 2)
        await until(lambda: up.connected("peter"))
        await up.discord.say(up.lois, up.clam, "still there?")
        assert [one.text for one in await up.heard(1)] == ["still there?"]


async def test_it_waits_for_a_discord_that_is_not_there_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    async with set_up(monkeypatch) as up:
        await up.discord.stop()
        await up.start("peter")
        await until(lambda: "ClientConnector" in str(up.services["peter"].health().reasons))
        assert up.services["peter"].health().level == "degraded"
        monkeypatch.setattr("svc.discord.posting.CLIENT_S", 0.1)
        with pytest.raises(bus_errors.Retry):
            await up.deliver(up.say("Hello?"))
        await up.discord.start()
        await until(lambda: up.connected("peter"))
        await up.deliver(up.say("Hello!"))
        assert up.contents("peter") == ["Hello!"]
