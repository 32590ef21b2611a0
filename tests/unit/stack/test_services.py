"""Which services are started, and what each of them may see of our environment."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest

from svc import config, errors
from svc.bridge import settings as bridge
from svc.llm import settings as llm
from svc.stack import options, part, ports, services

TOKENS = {
    "DISCORD_TOKEN_PETER": "p-secret",
    "DISCORD_TOKEN_GLENN_QUAGMIRE": "g-secret",
    "DISCORD_TOKEN_BRIAN": "",
}


@pytest.fixture
def packs(tmp_path: Path) -> Path:
    for name in ("peter", "brian", "glenn-quagmire"):
        (tmp_path / f"{name}.toml").touch()
    return tmp_path


def ask(packs: Path, environ: Mapping[str, str], only: tuple[str, ...] = ()) -> options.Options:
    return options.Options(
        data=Path("/d"),
        only=only,
        environ={**environ, "QUAHOG_CHARACTERS": str(packs)},
        service_command=lambda name: ("run", name),
    )


def launches(asked: options.Options) -> dict[str, part.Launch]:
    free = ports.Ports(dict.fromkeys(ports.BRIDGE, 0), lambda line: None)
    built = services.build(asked, {"QUAHOG_NATS_URL": "nats://here"}, free)
    return {service.name: service.launch(fresh=True) for service in built}


def test_everything_in_its_order_and_a_discord_process_for_each_token(packs: Path) -> None:
    found = launches(ask(packs, TOKENS))
    assert tuple(found) == (*options.SERVICES, "discord-glenn-quagmire", "discord-peter")
    assert found["discord-peter"].argv == ("run", "discord")
    assert found["discord-glenn-quagmire"].env["CHARACTER"] == "glenn-quagmire"


def test_only_what_was_asked_for(packs: Path) -> None:
    assert tuple(launches(ask(packs, TOKENS, only=("router", "llm")))) == ("llm", "router")
    with pytest.raises(errors.ConfigError, match="no service 'rooter': choose from llm, "):
        ask(packs, {}, only=("rooter",)).services()


def test_a_token_is_seen_by_its_own_process_only(packs: Path) -> None:
    environ = TOKENS | {"DISCORD_TOKEN": "x-secret", "CHARACTER": "brian", "QUAHOG_CHARACTER": "brian"}
    for name, launch in launches(ask(packs, environ)).items():
        secrets = [value for value in launch.env.values() if "secret" in value]
        expected = {"discord-peter": ["p-secret"], "discord-glenn-quagmire": ["g-secret"]}
        assert secrets == expected.get(name, []), name
        assert launch.env.get("CHARACTER", "") == name.partition("-")[2]
        assert "QUAHOG_CHARACTER" not in launch.env


def test_a_token_of_nobody_is_an_error_that_does_not_show_it(packs: Path) -> None:
    with pytest.raises(errors.ConfigError, match=r"DISCORD_TOKEN_LOIS is set, but .* no character") as raised:
        launches(ask(packs, {"DISCORD_TOKEN_LOIS": "l-secret"}))
    assert "l-secret" not in str(raised.value)


def test_options_and_addresses_reach_the_services(packs: Path) -> None:
    found = launches(ask(packs, {"QUAHOG_OLLAMA_MODEL": "other", "HOME": "/h"}))
    env = found["llm"].env
    assert env["QUAHOG_DATA"] == "/d"
    assert env["QUAHOG_NATS_URL"] == "nats://here"
    assert env["QUAHOG_OLLAMA_MODEL"] == "other"
    assert env["HOME"] == "/h"
    assert "QUAHOG_KNOWLEDGE" not in env
    opened = json.loads(found["bridge"].env["QUAHOG_PORTS"])
    assert set(opened) == set(ports.BRIDGE)
    assert 0 not in opened.values()


def test_foreign_servers_see_no_settings() -> None:
    seen = part.bare({"PATH": "/bin", "DISCORD_TOKEN_PETER": "p", "QUAHOG_CACHE_URL": "u", "LD_PRELOAD": "x"})
    assert seen == {"PATH": "/bin"}


def test_the_example_settings_are_settings(tmp_path: Path) -> None:
    text = (config.shipped("nats.conf").parent / ".env.example").read_text()
    (tmp_path / ".env").write_text(re.sub(r"^# (?=[A-Z_]+=)", "", text, flags=re.MULTILINE))
    found = config.dotenv(tmp_path / ".env")
    structs = (config.Common, llm.Settings, bridge.Settings)
    known = {"QUAHOG_" + field.name.upper() for kind in structs for field in msgspec.structs.fields(kind)}
    tokens = {options.token_name(pack.stem) for pack in config.shipped("characters").glob("*.toml")}
    assert len(found) > 10
    assert set(found) <= known | tokens
    for kind in structs:
        config.read(kind, found)
    ports.Ports(ports.wanted(found), lambda line: None)
