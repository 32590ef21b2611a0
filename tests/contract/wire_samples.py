"""Stored samples of every wire struct: bytes as an older version wrote them.

`python -m tests.contract.wire_samples` adds samples of new structs to `wire_samples.json`. It never changes a
sample that is there: old bytes must go on decoding.
"""

from __future__ import annotations

import importlib
import json
import pkgutil
from pathlib import Path
from typing import Any

import msgspec

import svc.wire
from svc.wire import base

FILE = Path(__file__).with_suffix(".json")


def structs() -> dict[str, type[msgspec.Struct]]:
    """Every message of svc.wire, by `module.Name`."""
    found: dict[str, type[msgspec.Struct]] = {}
    for module in pkgutil.iter_modules(svc.wire.__path__):
        loaded = importlib.import_module(f"svc.wire.{module.name}")
        for name, value in vars(loaded).items():
            ours = isinstance(value, type) and issubclass(value, base.Wire) and value is not base.Wire
            if ours and value.__module__ == loaded.__name__:
                found[f"{module.name}.{name}"] = value
    return found


def example(kind: Any) -> Any:
    """A plain value of a type, with every field given."""
    match kind:
        case msgspec.inspect.StructType():
            return {field.encode_name: example(field.type) for field in kind.fields}
        case msgspec.inspect.StrType():
            return "text é 🍺"
        case msgspec.inspect.IntType():
            return kind.ge or 1
        case msgspec.inspect.FloatType():
            return 0.5
        case msgspec.inspect.BoolType():
            return True
        case msgspec.inspect.LiteralType():
            return kind.values[0]
        case msgspec.inspect.VarTupleType():
            return [example(kind.item_type)]
        case msgspec.inspect.DictType():
            return {"key": example(kind.value_type)}
        case msgspec.inspect.UnionType():
            return example(next(one for one in kind.types if not isinstance(one, msgspec.inspect.NoneType)))
        case msgspec.inspect.RawType() | msgspec.inspect.AnyType():
            return {"any": 1}
        case _:
            raise TypeError(f"teach example() about {kind}")


def stored() -> dict[str, Any]:
    samples: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else {}
    return samples


def main() -> None:
    samples = stored()
    for name, kind in structs().items():
        samples.setdefault(name, example(msgspec.inspect.type_info(kind)))
    FILE.write_text(
        json.dumps(samples, indent=1, ensure_ascii=False, sort_keys=True) + "\n", encoding="utf-8"
    )


if __name__ == "__main__":
    main()
