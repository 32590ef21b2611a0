"""Ports: which are used, and what is said about those that are taken."""

from __future__ import annotations

import os
import socket

import pytest

from svc import errors
from svc.stack import ports


def some(wanted: dict[str, int]) -> tuple[ports.Ports, list[str]]:
    told: list[str] = []
    return ports.Ports(wanted, told.append), told


def test_the_documented_ports_are_the_default() -> None:
    numbers, _ = some({})
    assert numbers.numbers["nats"] == 4222
    assert numbers.bridge() == ports.BRIDGE


def test_a_free_port_stays_and_nothing_is_said() -> None:
    port = ports.unused(set())
    numbers, told = some({"cache": port})
    numbers.secure("cache")
    assert numbers.numbers["cache"] == port
    assert told == []


def test_a_taken_port_moves_and_its_user_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        numbers, told = some({"cache": port})
        numbers.secure("cache")
    moved = numbers.numbers["cache"]
    assert moved != port
    assert ports.is_free(moved)
    assert len(told) == 1
    assert told[0].startswith(f"port {port} (cache) is taken by ")
    assert told[0].endswith(f", pid {os.getpid()}: using {moved}")


def test_a_port_that_listens_on_every_interface_counts_as_taken() -> None:
    with socket.create_server(("0.0.0.0", 0)) as server:
        assert not ports.is_free(server.getsockname()[1])


def test_any_free_port_is_chosen_silently() -> None:
    numbers, told = some({"nats": 0, "monitor": 0})
    numbers.secure("nats", "monitor")
    assert numbers.numbers["nats"] != numbers.numbers["monitor"]
    assert 0 not in (numbers.numbers["nats"], numbers.numbers["monitor"])
    assert told == []


def test_a_further_character_gets_a_port_of_the_bridge() -> None:
    numbers, _ = some({"quagmire": 6014})
    assert numbers.bridge() == {**ports.BRIDGE, "quagmire": 6014}


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"llm": 65536}, "port 65536 (llm) is wrong"),
        ({"llm": -1}, "port -1 (llm) is wrong"),
        ({"llm": 6005}, "router and llm both want port 6005"),
    ],
)
def test_ports_that_can_not_work_are_refused(wanted: dict[str, int], message: str) -> None:
    with pytest.raises(errors.ConfigError) as raised:
        some(wanted)
    assert message in str(raised.value)


def test_the_variable_is_read() -> None:
    assert ports.wanted({}) == {}
    assert ports.wanted({"QUAHOG_PORTS": '{"router": 7005}'}) == {"router": 7005}
    with pytest.raises(errors.ConfigError, match="QUAHOG_PORTS is wrong"):
        ports.wanted({"QUAHOG_PORTS": "router=7005"})
