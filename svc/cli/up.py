"""`quahog up`: everything on one machine."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from svc import config
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
    common = config.read(config.Common)
    data = (args.data or common.data_path()).expanduser()

    async def prompt(address: str) -> None:
        from svc.cli import chat

        await chat.in_stack(data, address)

    return stack.run(
        options.Options(
            data=data,
            only=tuple(args.only),
            console=not args.no_console,
            prompt=prompt,
            ollama=args.ollama,
            model=args.model,
            characters=args.characters,
            knowledge=args.knowledge,
            environ=dict(os.environ),
        )
    )
