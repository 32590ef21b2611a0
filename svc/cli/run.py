"""`quahog run`: services against an existing NATS."""

from __future__ import annotations

import argparse
import os

from svc import host

EXAMPLE = "  quahog run quality retriever\n  quahog run discord --character peter"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "service", nargs="+", help=f"services to run in this process: {', '.join(host.SERVICES)}"
    )
    parser.add_argument("--character", help="which identity a discord service has")


def run(args: argparse.Namespace) -> int:
    if args.character:
        os.environ["CHARACTER"] = args.character
    return host.run(args.service)
