"""The base of every wire struct and the JSON codec all of them share."""

from __future__ import annotations

import functools
from collections.abc import Hashable
from typing import Any, TypeVar, cast

import msgspec

S = TypeVar("S")


class Wire(msgspec.Struct, frozen=True, omit_defaults=True):
    """A frozen message. Fields equal to their default are left out, so `nats sub` shows what matters.

    msgspec does not inherit `kw_only`, and type checkers want `frozen` again: every message spells both out.
    """


_encoder = msgspec.json.Encoder()


def encode(value: object) -> bytes:
    """JSON bytes of any wire struct (or of a plain value msgspec knows)."""
    return _encoder.encode(value)


@functools.cache
def _decoder(kind: Hashable) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(cast("type[Any]", kind))


def decode(data: bytes | msgspec.Raw, kind: type[S]) -> S:
    """Decode `data` as `kind`. Raises `msgspec.MsgspecError` only, naming the field that is wrong."""
    decoder: msgspec.json.Decoder[S] = _decoder(cast("Hashable", kind))
    try:
        return decoder.decode(data)
    except RecursionError:
        raise msgspec.DecodeError("JSON is nested too deeply") from None
