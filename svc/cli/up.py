"""`quahog up`: everything on one machine."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from svc import config
from svc.cli import chat, preflight
from svc.stack import options
from svc.stack import up as stack

EXAMPLE = """\
  quahog up
  quahog up --ollama http://192.168.1.20:11434
  quahog up --model ~/models/llama.gguf --no-console"""


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data", type=Path, metavar="DIR", help=f"data folder (default: {config.DATA_DEFAULT})"
    )
    parser.add_argument("--ollama", metavar="URL", help="use the Ollama at this address")
    parser.add_argument("--model", metavar="FILE.gguf", help="use this model in the embedded engine")
    parser.add_argument("--characters", type=Path, metavar="DIR", help="folder of character packs")
    parser.add_argument("--knowledge", type=Path, metavar="DIR", help="folder of knowledge")
    parser.add_argument("--only", nargs="+", default=(), metavar="SERVICE", help="start only these services")
    parser.add_argument("--no-console", action="store_true", help="no chat in this terminal")


def run(args: argparse.Namespace) -> int:
    """Raises ConfigError before anything is started, StackError when a part can't be."""
    common = config.read(config.Common)
    data = (args.data or common.data_path()).expanduser()
    environ = dict(os.environ)
    if args.ollama:
        # Named by hand it is meant: what can't be had is an error then, not a reason for the small model.
        environ |= {"QUAHOG_OLLAMA_URL": args.ollama, "QUAHOG_ENGINE": "ollama"}
    if args.model:
        environ["QUAHOG_MODEL"] = str(Path(args.model).expanduser().absolute())
    for name in ("characters", "knowledge"):
        if folder := getattr(args, name):
            environ[f"QUAHOG_{name.upper()}"] = str(folder.expanduser().absolute())
    preflight.check(environ)

    async def prompt(address: str) -> None:
        await chat.in_stack(data)

    return stack.run(
        options.Options(
            data=data,
            only=tuple(args.only),
            console=not args.no_console,
            prompt=prompt,
            environ=environ,
        )
    )
