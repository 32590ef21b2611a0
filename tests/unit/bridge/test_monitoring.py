"""/health, /metrics, /config of every port and /services/health."""

from __future__ import annotations

import anyio
import msgspec
import pytest

from svc.bridge import attendance, health, metrics
from svc.wire import status
from tests.unit.bridge import fake, setup

pytestmark = pytest.mark.anyio


async def test_a_well_service_is_ok(bus: fake.FakeBus) -> None:
    async with setup.client(bus, "llm") as client:
        response = await client.get("/health")
        body = await response.json()
    assert response.status == 200
    assert response.headers["Quahog-Status"] == "ok"
    assert (body["service"], body["status"], body["instances"][0]["id"]) == ("llm", "ok", "llm-1")


async def test_degraded_says_so_in_body_and_header_but_stays_200(bus: fake.FakeBus) -> None:
    bus.stats = (setup.stats("llm", "degraded", "the cache is away"),)
    async with setup.client(bus, "llm") as client:
        response = await client.get("/health")
        body = await response.json()
    assert (response.status, response.headers["Quahog-Status"]) == (200, "degraded")
    assert body["reasons"] == ["the cache is away"]


@pytest.mark.parametrize("found", [(), (setup.stats("llm", "down", "no model"),)])
async def test_down_is_503(bus: fake.FakeBus, found: tuple[status.Stats, ...]) -> None:
    bus.stats = found
    async with setup.client(bus, "llm") as client:
        response = await client.get("/health")
        assert (await response.json())["status"] == "down"
    assert response.status == 503
    assert "Retry-After" in response.headers


async def test_no_broker_is_down_and_nobody_is_asked(bus: fake.FakeBus) -> None:
    bus.up = False
    async with setup.client(bus) as client:
        here, everywhere = await client.get("/health"), await client.get("/services/health")
        assert "broker" in (await here.json())["reasons"][0]
        metrics_ = await client.get("/metrics")
        assert (await metrics_.json())["code"] == "not_accepted"
    assert (here.status, everywhere.status, metrics_.status) == (503, 503, 503)
    assert bus.surveys == 0


async def test_a_character_without_discord_is_off(bus: fake.FakeBus) -> None:
    async with setup.client(bus, "peter") as client:
        response = await client.get("/health")
        assert (await response.json())["status"] == "off"
        assert (await (await client.get("/config")).json())["config"] == {}
    assert response.status == 200


async def test_a_character_on_discord_is_found_by_its_metadata(bus: fake.FakeBus) -> None:
    bus.stats = (setup.stats("discord", character="brian"), setup.stats("discord", "down", character="peter"))
    async with setup.client(bus, "brian") as client:
        assert (await (await client.get("/health")).json())["status"] == "ok"


async def test_many_ask_at_once_and_the_bus_once(bus: fake.FakeBus) -> None:
    async with setup.client(bus) as client, anyio.create_task_group() as tasks:
        for _ in range(10):
            tasks.start_soon(client.get, "/health")
    assert bus.surveys == 1


async def test_metrics_are_prometheus_text(bus: fake.FakeBus) -> None:
    async with setup.client(bus, "llm") as client:
        response = await client.get("/metrics")
        text = await response.text()
    assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert "# TYPE quahog_llm_things_total counter\n" in text
    assert 'quahog_llm_things_total{service="llm",instance="llm-1"} 4\n' in text
    assert 'quahog_llm_open{service="llm",instance="llm-1"} 0.5\n' in text
    assert 'quahog_request_seconds_total{service="llm",instance="llm-1",method="m"} 0.006\n' in text


async def test_metrics_are_json_when_asked_for(bus: fake.FakeBus) -> None:
    async with setup.client(bus) as client:
        body = await (await client.get("/metrics", headers={"Accept": "application/json"})).json()
    assert [one["service"] for one in body["instances"]] == ["router", "bridge"]
    assert body["instances"][0]["counters"] == {"router_things_total": 4.0}


async def test_config(bus: fake.FakeBus) -> None:
    async with setup.client(bus, "quality") as client:
        body = await (await client.get("/config")).json()
    assert body["config"] == {"threshold_cold": 30}
    bus.stats = ()
    async with setup.client(bus, "quality") as client:
        assert (await client.get("/config")).status == 503


async def test_services_health_lists_everything(bus: fake.FakeBus) -> None:
    bus.stats = tuple(setup.stats(name) for name in health.SERVICES)
    bus.stats += (setup.stats("discord", "degraded", "rate limited", character="peter"),)
    async with setup.client(bus) as client:
        response = await client.get("/services/health")
        body = await response.json()
    assert (response.status, body["status"]) == (200, "degraded")
    assert body["reasons"] == ["peter: rate limited"]
    assert {one["service"] for one in body["services"]} == {*health.SERVICES, "peter"}


def test_overall_is_down_only_without_an_essential_service() -> None:
    every = tuple(setup.stats(name) for name in health.SERVICES)
    assert health.overall(health.Census(every)).status == "ok"
    for one in every:
        rest = tuple(other for other in every if other is not one)
        wanted = "down" if one.name in health.ESSENTIAL else "degraded"
        assert health.overall(health.Census(rest)).status == wanted, one.name


def test_some_instances_down_is_degraded() -> None:
    found = (setup.stats("llm", id_="a"), setup.stats("llm", "down", "no model", id_="b"))
    assert health.report("llm", health.Census(found)).status == "degraded"


def model(id_: str, pinned: bool | None) -> status.Stats:
    """A model process that has the pin, or another has it, or nobody."""
    endpoint = status.Endpoint(name="generate", subject="s", queue_group="q", data=status.Pin(pinned=pinned))
    return msgspec.structs.replace(setup.stats("llm", id_=id_), endpoints=(endpoint,))


async def test_who_is_active_and_what_waits_is_shown_and_standing_by_is_no_fault(bus: fake.FakeBus) -> None:
    bus.stats = (*bus.stats[:1], model("a", True), model("b", False), *bus.stats[2:])
    bus.queues = {"llm": status.Queue(waiting=7, working=5)}
    async with setup.client(bus, "llm") as client:
        body = await (await client.get("/health")).json()
    assert (body["status"], body["waiting"], body["working"]) == ("ok", 7, 5)
    assert {one["id"]: one["active"] for one in body["instances"]} == {"a": True, "b": False}
    async with setup.client(bus) as client:
        everything = await (await client.get("/services/health")).json()
    reports = {one["service"]: one for one in everything["services"]}
    assert (reports["llm"]["waiting"], reports["bridge"]["waiting"]) == (7, None)
    assert reports["router"]["instances"][0]["active"] is None


@pytest.mark.parametrize(
    ("pins", "waiting", "lacks"),
    [
        ((True, False), 3, False),
        ((None, None), 0, False),  # nobody has asked anything yet
        ((None, None), 1, True),
        ((False,), 0, True),  # somebody has the pin who doesn't answer
        ((), 1, False),  # then it is down anyway
    ],
)
def test_a_takeover_is_no_fault_but_a_lasting_gap_is(
    pins: tuple[bool | None, ...], waiting: int, lacks: bool
) -> None:
    now = 100.0
    seen = attendance.Attendance(lambda: now)
    found = tuple(model(str(number), pin) for number, pin in enumerate(pins))
    queues = {"llm": status.Queue(waiting=waiting)}

    def status_now() -> str:
        return health.report("llm", health.Census(found, queues, seen.observe(found, queues))).status

    well = "ok" if found else "down"
    assert status_now() == well
    now += health.TAKEOVER_S + 1
    assert status_now() == ("degraded" if lacks else well)
    seen.observe((model("a", True),), queues)
    assert status_now() == well  # what is over is forgotten


def test_exposition_groups_families_and_escapes_labels() -> None:
    found = tuple(setup.stats("llm", id_=id_) for id_ in ('a"\\\n', "b"))
    lines = metrics.text(found).splitlines()
    assert r'quahog_up{service="llm",instance="a\"\\\n"} 1' in lines
    types = [line.split()[2] for line in lines if line.startswith("# TYPE")]
    assert len(types) == len(set(types))
    names = [line.partition("{")[0] for line in lines if not line.startswith("#")]
    assert [name for k, name in enumerate(names) if k == 0 or names[k - 1] != name] == types


def test_exposition_takes_labels_and_odd_numbers_and_drops_what_is_no_name() -> None:
    counters = {'hits{kind="a"}': 1.0, 'hits{kind="b"}': float("inf"), "not a name": 1.0, "bad": float("nan")}
    found = status.Stats(
        name="x",
        id="1",
        version="",
        started="",
        vitals=status.Vitals(health=status.Health(), counters=counters),
    )
    text = metrics.text([found])
    assert 'quahog_hits{service="x",instance="1",kind="b"} +Inf\n' in text
    assert text.count("# TYPE quahog_hits counter") == 1
    assert "} NaN\n" in text
    assert "not a name" not in text
