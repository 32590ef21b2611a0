"""The tables of streams and consumers, and what is done about a server that has others."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from svc import errors
from svc.bus import limits, streams, subjects

pytestmark = pytest.mark.anyio

STORED = {
    **{subjects.request(name, "method", "t"): f"WORK_{name}" for name in streams.SERVICES},
    **{f"log.{name}.method.t.0": "LOG" for name in streams.SERVICES},
    **{subjects.reply(name, "method", "t"): "LOG" for name in streams.RECOMPUTABLE},
    subjects.reply("llm", "generate", "t"): "RECORD",
    subjects.turn("user", "peter", "t"): "TURNS",
    subjects.turn("organic", "peter", "t"): "PLANS",
    subjects.turn("idle", "peter", "t"): "PLANS",
    subjects.later("organic", "peter", "t"): "PLANS",
    subjects.later("user", "peter", "t"): "PLANS",
    subjects.say("discord", "peter", "t"): "SAY",
    subjects.say("console", "peter", "t"): "SAY",
    subjects.say("http", "peter", "t"): "SAY",
    **{subjects.event(noun, "happened", "t"): "RECORD" for noun in streams.EVENTS_RECORDED},
    **{subjects.event(noun, "happened", "t"): "LOG" for noun in streams.EVENTS_LOGGED},
    subjects.dead("req", "llm", "t"): "DEAD",
    f"{streams.STATE_PREFIX}channel.a": "KV_STATE",
    f"{streams.SUSPECT_PREFIX}router-turns.7": "KV_SUSPECT",
}
NEVER_STORED = (
    subjects.build("got", "llm", "generate", "t"),
    subjects.build("fired", "organic", "peter", "t"),
    subjects.token("llm", "generate", "t"),
    subjects.event("weather", "changed", "t"),
    subjects.turn("forged", "peter", "t"),
    subjects.request("stranger", "method", "t"),
    "$SRV.PING",
    "_INBOX.abc",
)


def overlap(one: str, other: str) -> bool:
    """Whether some subject is covered by both patterns."""
    for mine, theirs in itertools.zip_longest(one.split("."), other.split(".")):
        if ">" in (mine, theirs) and None not in (mine, theirs):
            return True
        if mine is None or theirs is None or (mine != theirs and "*" not in (mine, theirs)):
            return False
    return True


def overlapping(patterns: Iterable[str]) -> list[tuple[str, str]]:
    return [pair for pair in itertools.combinations(patterns, 2) if overlap(*pair)]


@pytest.mark.parametrize(("subject", "name"), STORED.items())
def test_every_kind_of_subject_is_stored_by_exactly_one_stream(subject: str, name: str) -> None:
    keepers = [
        stream.name
        for stream in streams.STREAMS
        if any(subjects.matches(pattern, subject) for pattern in stream.subjects)
    ]
    assert keepers == [name]
    assert streams.stream_of(subject) == name


@pytest.mark.parametrize("subject", NEVER_STORED)
def test_some_subjects_are_never_stored(subject: str) -> None:
    assert streams.stream_of(subject) is None


def test_no_two_streams_want_the_same_subject() -> None:
    assert overlapping(pattern for stream in streams.STREAMS for pattern in stream.subjects) == []


def test_overlap_is_noticed() -> None:
    assert overlapping(["req.llm.>", "req.llm.embed.>"])
    assert overlapping(["a.*.c", "a.b.*"])
    assert not overlapping(["req.llm.>", "req.llm", "req.quality.>", "rep.llm.>"])


def test_a_work_queue_has_one_consumer_for_every_message() -> None:
    for stream in streams.STREAMS:
        if stream.retention != "workqueue":
            continue
        filters = [f for one in streams.CONSUMERS if one.stream == stream.name for f in one.filters]
        assert filters, stream.name
        assert overlapping(filters) == []


def test_a_consumer_asks_only_for_what_its_stream_stores() -> None:
    for consumer in (*streams.CONSUMERS, streams.consumer("discord-peter")):
        for pattern in consumer.filters:
            example = pattern.replace(">", "x")
            assert streams.stream_of(example) == consumer.stream, consumer.name


def test_every_method_of_the_model_has_its_queue_group() -> None:
    groups = {method: streams.consumer_of("llm", method).name for method in ("generate", "banter", "embed")}
    assert groups == {"generate": "llm-generate", "banter": "llm-banter", "embed": "llm-embed"}
    assert [one.name for one in streams.CONSUMERS if one.pinned] == ["llm-generate", "llm-banter"]
    for name in streams.RECOMPUTABLE:
        assert streams.consumer_of(name, "whatever").name == name


def test_a_plan_cannot_reach_the_stream_of_user_turns() -> None:
    plans, turns = streams.BY_NAME["PLANS"], streams.BY_NAME["TURNS"]
    assert plans.schedules
    assert not turns.schedules
    assert not any(overlap(pattern, "turn.user.>") for pattern in plans.subjects)


def test_what_cannot_be_recomputed_is_synced() -> None:
    durable = {"TURNS", "PLANS", "SAY", "RECORD", "DEAD", "KV_STATE"}
    assert {stream.name for stream in streams.STREAMS if stream.durability == "fsync"} == durable


def test_republished_copies_land_where_they_belong() -> None:
    for stream in streams.STREAMS:
        if stream.republish is None:
            continue
        source, target = stream.republish
        landing = streams.stream_of(target.replace(">", "llm.x.t.0"))
        assert landing == ("LOG" if source == "req.>" else None), stream.name


@pytest.mark.parametrize("stream", streams.STREAMS, ids=lambda stream: stream.name)
def test_a_stream_spells_its_options_out(stream: streams.Stream) -> None:
    config = stream.config()
    assert config["max_age"] == int(stream.max_age_s * streams.NANO)
    assert config["storage"] == "file"
    assert config["allow_direct"] is True
    assert 0 < config["max_bytes"] <= limits.RECORD_BYTES_MAX
    assert config["max_msg_size"] == limits.BODY_BYTES_MAX + limits.HEADER_BYTES_MAX
    assert config["max_age"] == 0 or config["duplicate_window"] <= config["max_age"]
    full = "new" if stream.retention == "workqueue" or stream.name == "KV_STATE" else "old"
    assert config["discard"] == full
    assert ("persist_mode" in config) == (stream.durability == "async")
    assert ("allow_msg_schedules" in config) == (stream.name == "PLANS")
    assert stream.why


def test_nobody_waits_for_the_model_longer_than_for_a_turn() -> None:
    bounds = {stream.name: stream.max_msgs for stream in streams.STREAMS if stream.retention == "workqueue"}
    assert bounds.pop("WORK_llm") == limits.MODEL_WAITING_MAX
    assert set(bounds.values()) == {limits.WORK_MSGS_MAX}


def test_a_consumer_spells_its_options_out() -> None:
    config = streams.consumer("llm-generate").config()
    assert config["filter_subject"] == "req.llm.generate.>"
    assert config["ack_wait"] == limits.MODEL_ACK_WAIT_S * streams.NANO
    assert config["max_ack_pending"] == limits.MODEL_SLOTS
    assert streams.consumer("llm-banter").config()["max_ack_pending"] == limits.BANTER_SLOTS
    assert (config["max_deliver"], config["ack_policy"]) == (-1, "explicit")
    assert (config["priority_policy"], config["priority_groups"]) == ("pinned_client", ["gpu"])
    several = streams.consumer("router-plans").config()
    assert several["filter_subjects"] == ["turn.organic.>", "turn.idle.>"]
    assert not {"filter_subject", "priority_policy"} & several.keys()


def test_a_spare_pull_never_outlives_the_pin() -> None:
    assert limits.PINNED_PULL_S < limits.PIN_S
    assert min(consumer.ack_wait_s for consumer in streams.CONSUMERS) > limits.HEARTBEAT_S * 2


def test_every_discord_identity_has_a_consumer_of_its_own() -> None:
    consumer = streams.consumer("discord-peter")
    assert (consumer.stream, consumer.filters) == ("SAY", ("say.discord.peter.>",))
    assert consumer.deliveries_max == limits.PATIENCE_MAX


@pytest.mark.parametrize("name", ["", "nobody", "discord", "discord-", "discord-a.b", "discord->", "llm"])
def test_an_unknown_consumer_is_named(name: str) -> None:
    with pytest.raises(errors.ConfigError, match="no consumer named"):
        streams.consumer(name)


class Server:
    """`streams.Administrator`: keeps configurations; an old server silently drops `unknown` options."""

    def __init__(self, *unknown: str) -> None:
        self.streams: dict[str, dict[str, Any]] = {}
        self.asked: list[str] = []
        self.unknown = set(unknown)
        self.hidden: set[str] = set()
        """Streams that somebody else creates after our listing."""
        self.refusal: streams.ApiError | None = None

    async def administer(self, endpoint: str, body: Mapping[str, Any]) -> dict[str, Any]:
        if endpoint == "STREAM.LIST":
            shown = [config for name, config in self.streams.items() if name not in self.hidden]
            return {"streams": [{"config": dict(config)} for config in shown] or None}
        self.asked.append(endpoint)
        if self.refusal is not None:
            raise self.refusal
        verb, _, name = endpoint.rpartition(".")
        if verb == "STREAM.CREATE" and name in self.streams:
            raise streams.ApiError(streams.STREAM_NAME_IN_USE, "stream name already in use")
        wanted = body["config"] if endpoint.startswith("CONSUMER.") else body
        kept = {key: value for key, value in wanted.items() if key not in self.unknown}
        if verb.startswith("STREAM."):
            self.streams[name] = {**kept, "sealed": False, "metadata": {"server": "adds its own"}}
            return {"config": self.streams[name]}
        return {"config": kept}


async def test_a_fresh_server_gets_every_stream_once() -> None:
    server = Server()
    await streams.ensure(server)
    assert server.asked == [f"STREAM.CREATE.{stream.name}" for stream in streams.STREAMS]
    server.asked.clear()
    await streams.ensure(server)
    assert server.asked == []


async def test_only_what_differs_is_updated() -> None:
    server = Server()
    await streams.ensure(server)
    server.asked.clear()
    server.streams["SAY"]["max_bytes"] = 1
    del server.streams["LOG"]["republish"]
    await streams.ensure(server)
    assert server.asked == ["STREAM.UPDATE.SAY", "STREAM.UPDATE.LOG"]
    assert server.streams["SAY"]["max_bytes"] == limits.STREAM_BYTES_MAX


async def test_two_processes_that_create_at_once_both_succeed() -> None:
    server = Server()
    await streams.ensure(server)
    server.hidden = {"TURNS"}
    server.asked.clear()
    await streams.ensure(server)
    assert server.asked == ["STREAM.CREATE.TURNS", "STREAM.UPDATE.TURNS"]


@pytest.mark.parametrize(
    ("option", "stream"),
    [("allow_msg_schedules", "PLANS"), ("persist_mode", "LOG"), ("republish", "PLANS")],
)
async def test_a_feature_that_an_old_server_drops_is_named(option: str, stream: str) -> None:
    with pytest.raises(errors.ConfigError) as caught:
        await streams.ensure(Server(option))
    assert option in str(caught.value)
    assert f"stream {stream}" in str(caught.value)
    assert "2.12" in str(caught.value)


async def test_a_drop_is_noticed_in_an_update_too() -> None:
    server = Server()
    await streams.ensure(server)
    server.unknown = {"allow_msg_schedules"}
    server.streams["PLANS"].pop("allow_msg_schedules")
    with pytest.raises(errors.ConfigError, match="allow_msg_schedules"):
        await streams.ensure(server)


async def test_options_that_are_off_may_be_left_out_of_the_answer() -> None:
    """Servers omit zeros, so their absence is no difference."""
    server = Server()
    await streams.ensure(server)
    server.asked.clear()
    for config in server.streams.values():
        for option in [name for name, value in config.items() if value in (-1, 0, False)]:
            del config[option]
    await streams.ensure(server)
    assert server.asked == []


async def test_another_refusal_is_passed_on() -> None:
    server = Server()
    server.refusal = streams.ApiError(10047, "insufficient storage resources available")
    with pytest.raises(streams.ApiError, match=r"10047.*insufficient storage"):
        await streams.ensure(server)


async def test_a_consumer_is_created_under_its_filter() -> None:
    server = Server()
    await streams.ensure_consumer(server, streams.consumer("quality"))
    await streams.ensure_consumer(server, streams.consumer("router-plans"))
    assert server.asked == [
        "CONSUMER.CREATE.WORK_quality.quality.req.quality.>",
        "CONSUMER.CREATE.PLANS.router-plans",
    ]


async def test_a_server_without_pinned_consumers_is_refused_by_name() -> None:
    server = Server("priority_policy", "priority_timeout")
    await streams.ensure_consumer(server, streams.consumer("llm-embed"))
    with pytest.raises(errors.ConfigError, match=r"consumer llm-generate.*priority_policy"):
        await streams.ensure_consumer(server, streams.consumer("llm-generate"))
