"""`quahog run`: services against an existing NATS."""

from __future__ import annotations

import argparse
import os

EXAMPLE = "  quahog run quality retriever\n  quahog run discord --character peter"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("service", nargs="+", help="services to run in this process")
    parser.add_argument("--character", help="which identity a discord service has")


def run(args: argparse.Namespace) -> int:
    from svc import host

    if args.character:
        os.environ["CHARACTER"] = args.character
    return host.run(args.service)
