from __future__ import annotations

import pytest

from svc import config, errors
from svc.discord import settings

PETER = {"CHARACTER": "peter", "DISCORD_TOKEN_PETER": "s3cret"}


def test_the_characters_own_token_wins() -> None:
    read = settings.read(PETER | {"DISCORD_TOKEN": "other"})
    assert (read.character, read.discord_token) == ("peter", "s3cret")
    assert settings.read({"QUAHOG_CHARACTER": "brian", "DISCORD_TOKEN": " Bot t\n"}).discord_token == "t"
    assert settings.token_name("joe-swanson") == "DISCORD_TOKEN_JOE_SWANSON"


def test_the_token_is_never_shown() -> None:
    assert "s3cret" not in str(config.shown(settings.read(PETER)))


@pytest.mark.parametrize(
    ("environ", "told"),
    [
        ({}, "CHARACTER"),
        ({"CHARACTER": "pe.ter"}, "CHARACTER"),
        ({"CHARACTER": "peter"}, "DISCORD_TOKEN_PETER"),
        (PETER | {"QUAHOG_DISCORD_API": "http://127.0.0.1:1/api/v10"}, "QUAHOG_DISCORD_GATEWAY"),
        (PETER | {"QUAHOG_DISCORD_NONCE_MEMORY_S": "-1"}, "QUAHOG_DISCORD_NONCE_MEMORY_S"),
    ],
)
def test_what_is_missing_or_wrong_is_named(environ: dict[str, str], told: str) -> None:
    with pytest.raises(errors.ConfigError, match=told) as caught:
        settings.read(environ)
    assert "s3cret" not in str(caught.value)
