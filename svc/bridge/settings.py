"""Where the bridge listens and under which names it answers."""

from __future__ import annotations

import re

import msgspec

from svc import errors, ports

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
ANY = frozenset({"0.0.0.0", "::", ""})
"""Addresses that mean "every interface": they are where to listen, never a name to be called by."""
PORT_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Read from QUAHOG_HTTP_HOST, QUAHOG_HTTP_NAMES and QUAHOG_PORTS."""

    http_host: str = "127.0.0.1"
    """Address to listen on. The ports have no password: anything but loopback opens them to a network."""
    http_names: str = ""
    """Further host names people may call the ports by, separated by commas (`quahog.lan,bridge`)."""
    ports: str = ""
    """JSON object of name -> port, in place of the documented ones; a further name is a further character."""

    def table(self) -> dict[str, int]:
        """Name -> port of everything the bridge opens. Raises ConfigError naming the entry that is wrong."""
        try:
            wanted = msgspec.json.decode(self.ports or "{}", type=dict[str, int])
        except msgspec.MsgspecError as error:
            raise errors.ConfigError(
                f'QUAHOG_PORTS is wrong ({error}): use JSON such as {{"router": 7005, "llm": 7001}}'
            ) from None
        table = ports.BRIDGE | {
            name: port for name, port in wanted.items() if name not in ports.INFRASTRUCTURE
        }
        taken: dict[int, str] = {}
        for name, port in table.items():
            if not PORT_NAME.fullmatch(name):
                raise errors.ConfigError(f"QUAHOG_PORTS: {name!r} is neither a service nor a character id")
            if not 1 <= port <= ports.PORT_MAX:
                raise errors.ConfigError(f"QUAHOG_PORTS: {name} has port {port}: use 1 to {ports.PORT_MAX}")
            if port in taken:
                raise errors.ConfigError(
                    f"QUAHOG_PORTS: {name} and {taken[port]} both want port {port}: give one another port"
                )
            taken[port] = name
        return table

    def hosts(self) -> frozenset[str]:
        """The names a request may carry in its Host header, lower case, without ports."""
        names = {name.strip().lower() for name in self.http_names.split(",")}
        if self.http_host not in ANY:
            names.add(self.http_host.lower().strip("[]"))
        return LOOPBACK | frozenset(names - {""})
