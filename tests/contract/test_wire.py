"""Old bytes still decode, newer bytes are tolerated, and what is encoded comes back the same."""

from __future__ import annotations

import json

import msgspec
import pytest

from svc.wire import base
from tests.contract import wire_samples

STRUCTS = wire_samples.structs()
SAMPLES = wire_samples.stored()


def test_every_message_has_a_stored_sample() -> None:
    missing = STRUCTS.keys() - SAMPLES.keys()
    assert not missing, "run `python -m tests.contract.wire_samples` and commit the file"
    assert not SAMPLES.keys() - STRUCTS.keys(), "a message was removed or renamed: old bytes no longer decode"


@pytest.mark.parametrize("name", SAMPLES)
def test_old_bytes_decode(name: str) -> None:
    decoded = base.decode(json.dumps(SAMPLES[name]).encode(), STRUCTS[name])
    assert isinstance(decoded, STRUCTS[name])


@pytest.mark.parametrize("name", SAMPLES)
def test_round_trip(name: str) -> None:
    decoded = base.decode(json.dumps(SAMPLES[name]).encode(), STRUCTS[name])
    assert base.encode(base.decode(base.encode(decoded), STRUCTS[name])) == base.encode(decoded)


@pytest.mark.parametrize("name", SAMPLES)
def test_unknown_fields_are_tolerated(name: str) -> None:
    newer = {**SAMPLES[name], "a_field_of_the_future": {"x": 1}}
    base.decode(json.dumps(newer).encode(), STRUCTS[name])


@pytest.mark.parametrize("name", STRUCTS)
def test_messages_are_frozen(name: str) -> None:
    assert STRUCTS[name].__struct_config__.frozen


def texts(name: str) -> list[str]:
    return [field.encode_name for field in msgspec.structs.fields(STRUCTS[name]) if field.type is str]


@pytest.mark.parametrize("name", [name for name in SAMPLES if texts(name)])
def test_a_wrong_type_is_named(name: str) -> None:
    wrong = {**SAMPLES[name], texts(name)[0]: 17}
    with pytest.raises(msgspec.ValidationError, match=rf"\$\.{texts(name)[0]}"):
        base.decode(json.dumps(wrong).encode(), STRUCTS[name])
