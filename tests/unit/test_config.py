"""Settings: read by name, refused by name, shown without secrets."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta

from svc import config, errors, host, process


class Example(msgspec.Struct, frozen=True, kw_only=True):
    example_url: str
    example_slots: Annotated[int, Meta(ge=1, le=8)] = 4
    example_share: float = 0.5
    example_mode: Literal["fast", "slow"] = "fast"
    example_on: bool = False
    example_token: str = ""
    example_names: tuple[str, ...] = ()


@pytest.fixture
def quiet() -> Iterator[None]:
    """Gives the loggers back as they were."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers = []
    yield
    root.handlers, root.level = handlers, level


def write(folder: Path, text: str) -> Path:
    file = folder / ".env"
    file.write_text(text, encoding="utf-8")
    return file


def test_fields_are_read_from_variables_of_their_name() -> None:
    environ = {
        "QUAHOG_EXAMPLE_URL": "nats://x",
        "QUAHOG_EXAMPLE_SLOTS": "8",
        "QUAHOG_EXAMPLE_SHARE": "0.25",
        "QUAHOG_EXAMPLE_MODE": "slow",
        "QUAHOG_EXAMPLE_ON": "true",
        "EXAMPLE_TOKEN": "not ours",
    }
    assert config.read(Example, environ) == Example(
        example_url="nats://x", example_slots=8, example_share=0.25, example_mode="slow", example_on=True
    )


def test_empty_counts_as_unset() -> None:
    read = config.read(Example, {"QUAHOG_EXAMPLE_URL": "x", "QUAHOG_EXAMPLE_SLOTS": ""})
    assert read.example_slots == 4


@pytest.mark.parametrize("environ", [{}, {"QUAHOG_EXAMPLE_URL": ""}])
def test_what_is_missing_is_named(environ: dict[str, str]) -> None:
    with pytest.raises(errors.ConfigError, match="QUAHOG_EXAMPLE_URL is not set"):
        config.read(Example, environ)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("QUAHOG_EXAMPLE_SLOTS", "9"),
        ("QUAHOG_EXAMPLE_SLOTS", "many"),
        ("QUAHOG_EXAMPLE_SLOTS", "1.5"),
        ("QUAHOG_EXAMPLE_SHARE", "half"),
        ("QUAHOG_EXAMPLE_MODE", "medium"),
        ("QUAHOG_EXAMPLE_ON", "perhaps"),
    ],
)
def test_what_is_wrong_is_named_in_one_line(name: str, value: str) -> None:
    with pytest.raises(errors.ConfigError, match=f"^{name} is wrong: ") as caught:
        config.read(Example, {"QUAHOG_EXAMPLE_URL": "x", name: value})
    assert "\n" not in str(caught.value)


def test_an_unknown_log_level_stops_the_process_by_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], quiet: None
) -> None:
    monkeypatch.setenv("QUAHOG_LOG_LEVEL", "loud")
    assert host.run(["nobody"]) == process.EXIT_CONFIG
    assert "QUAHOG_LOG_LEVEL" in capsys.readouterr().err


def test_dotenv_reads_what_people_write(tmp_path: Path) -> None:
    file = write(
        tmp_path,
        "# tokens\n\nexport A=1\n  B = two words \nC='single'\nD=\"double\"\nE=a=b\nF=\nG=x # y\r\nH='#1'\n",
    )
    assert config.dotenv(file) == {
        "A": "1",
        "B": "two words",
        "C": "single",
        "D": "double",
        "E": "a=b",
        "F": "",
        "G": "x # y",
        "H": "#1",
    }


def test_only_the_quotes_around_a_value_are_stripped(tmp_path: Path) -> None:
    file = write(tmp_path, "A=\"say 'hi'\"\nB='5\"'\nC=it's\nD=dogs'\n")
    assert config.dotenv(file) == {"A": "say 'hi'", "B": '5"', "C": "it's", "D": "dogs'"}


@given(st.dictionaries(st.from_regex(r"[A-Z_][A-Z0-9_]{0,8}", fullmatch=True), st.text("abc=#{}$\\ é")))
def test_dotenv_gives_back_what_was_written(wanted: dict[str, str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        text = "\n".join(f'{key}="{value}"' for key, value in wanted.items())
        patch.setattr(Path, "is_file", lambda _: True)
        patch.setattr(Path, "read_text", lambda *_, **__: text)
        assert config.dotenv(Path(".env")) == wanted


def test_no_dotenv_is_no_settings(tmp_path: Path) -> None:
    assert config.dotenv(tmp_path / ".env") == {}


@pytest.mark.parametrize("line", ["nonsense", "=value", "TWO WORDS=1", "1A=2", "A-B=1"])
def test_a_bad_line_of_dotenv_is_named_by_number_without_its_text(tmp_path: Path, line: str) -> None:
    file = write(tmp_path, f"A=1\n{line}\n")
    with pytest.raises(errors.ConfigError, match=r"\.env:2: expected KEY=value") as caught:
        config.dotenv(file)
    assert line not in str(caught.value).replace("KEY=value", "")


def test_shown_has_no_secret() -> None:
    class Secrets(msgspec.Struct, frozen=True, kw_only=True):
        discord_token: str = "hunter2"
        nats_password: str = "hunter2"
        api_key: str = ""
        credentials: str = "hunter2"
        client_secret: str = "hunter2"
        nats_url: str = "nats://user:hunter2@host:4222,nats://user:hunter2@other:4222"
        cache_url: str = "redis://:hunter2@host/0"
        plain: str = "shown"
        number: int = 3
        on: bool = True
        nothing: str | None = None
        names: tuple[str, ...] = ("a", "b")

    shown = config.shown(Secrets())
    assert "hunter2" not in repr(shown)
    assert (shown["discord_token"], shown["api_key"]) == ("set", "unset")
    assert shown["nats_url"] == "nats://…@host:4222,nats://…@other:4222"
    assert (shown["plain"], shown["number"], shown["on"], shown["nothing"]) == ("shown", 3, True, None)
    assert msgspec.json.encode(shown)


def test_shown_hides_a_password_with_an_at_sign() -> None:
    """Clients take everything up to the last `@` as the password, so must we."""
    shown = config.shown(config.Common(cache_url="redis://:hunter@2@host:6379/0"))
    assert shown["cache_url"] == "redis://…@host:6379/0"


def test_what_ships_is_found_and_what_does_not_is_named(tmp_path: Path) -> None:
    common = config.Common()
    assert (common.characters_path() / "peter.toml").is_file()
    assert common.knowledge_path().is_dir()
    own = config.Common(characters=str(tmp_path), knowledge="~/facts", data="~/kept")
    assert own.characters_path() == tmp_path
    assert own.knowledge_path() == Path.home() / "facts"
    assert own.data_path() == Path.home() / "kept"
    with pytest.raises(errors.ConfigError, match=r"'nothing\.such' is missing.*reinstall"):
        config.shipped("nothing.such")
