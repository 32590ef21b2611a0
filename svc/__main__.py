"""`python -m svc` is `quahog`."""

from __future__ import annotations

import sys

from svc import cli

sys.exit(cli.main())
