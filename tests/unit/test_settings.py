"""Every setting that is read is documented, and every documented one is read."""

from __future__ import annotations

import re

import msgspec
import pytest

from svc import cache, config
from svc.bridge import settings as bridge
from svc.llm import settings as llm
from svc.quality import settings as quality
from svc.retriever import settings as retriever
from svc.router import settings as router
from tests import documented

STRUCTS = (
    config.Common,
    bridge.Settings,
    llm.Settings,
    quality.Settings,
    retriever.Settings,
    router.Settings,
)
NAME = re.compile(r"QUAHOG_[A-Z_]+[A-Z]")
ELSEWHERE = {
    "QUAHOG_REQUIRE",
    "QUAHOG_CHARACTER",
    "QUAHOG_DISCORD_API",
    "QUAHOG_DISCORD_GATEWAY",
    "QUAHOG_DISCORD_NONCE_MEMORY_S",
}
"""Read by CI, and by the Discord surface under names of its own."""


def text() -> str:
    return "\n".join(page.read_text(encoding="utf-8") for page in documented.PAGES)


def fields() -> list[str]:
    return [config.PREFIX + field.name.upper() for kind in STRUCTS for field in msgspec.structs.fields(kind)]


@pytest.mark.parametrize("name", fields())
def test_what_is_read_is_documented(name: str) -> None:
    page = text()
    prefix = "QUAHOG_QUALITY_"
    assert name in page or (name.startswith(prefix) and name.removeprefix(prefix).split("_")[0] in page)


def test_what_is_documented_is_read() -> None:
    named = {name for name in NAME.findall(text()) if not name.startswith(("QUAHOG_NATS_", "QUAHOG_QUALITY"))}
    assert named - set(fields()) - ELSEWHERE == set()


@pytest.mark.parametrize("kind", cache.TTL_S)
def test_every_kind_of_cache_key_is_documented(kind: str) -> None:
    assert f"`{kind}:" in text()
