"""The broker every contract test runs against: in memory, and a real nats-server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from svc.bus import connection, jetstream, memory, streams
from tests import servers


@pytest.fixture(scope="session")
def nats(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.NatsServer]:
    with servers.nats_server(tmp_path_factory.mktemp("nats")) as server:
        yield server


@pytest.fixture(params=["memory", "jetstream"])
async def bus(request: pytest.FixtureRequest) -> AsyncIterator[connection.Connection]:
    """An empty bus."""
    if request.param == "memory":
        yield connection.Connection(memory.Memory(), "test")
        return
    server: servers.NatsServer = request.getfixturevalue("nats")
    jet = await jetstream.connect(server.url, "test")
    for stream in streams.STREAMS:
        try:
            await jet.administer(f"STREAM.DELETE.{stream.name}", {})
        except streams.ApiError as error:
            assert error.code == 10059, error  # not found
    await jet.ensure()
    yield connection.Connection(jet, "test")
    await jet.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path
