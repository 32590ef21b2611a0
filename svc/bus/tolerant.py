"""nats-py's client, made to survive what strangers can put into a subject or a header.

The server takes nearly any bytes there, stores them, and delivers them again and again. nats-py's reading
loop ends at the first that it can't read, without a word to whoever uses the connection: one such message in
a queue would stop every process that serves it. Here it arrives all the same, under a subject that is none
of ours, and is buried like everything that nobody handles.
"""

from __future__ import annotations

import logging
import re

from nats.aio import client
from nats.aio import msg as nats_msg
from nats.protocol import parser

log = logging.getLogger(__name__)

WORD = rb"([^ \t\r\n]+)"
"""The server ends a word at a blank or a tab. nats-py also does at a vertical tab or a form feed, and takes a
subject with one for a broken protocol."""
GAP = rb"[ \t]+"
_PLACE = WORD + GAP + WORD + GAP + b"(" + WORD + GAP + b")?"
parser.MSG_RE = re.compile(rb"\AMSG" + GAP + _PLACE + rb"(\d+)\r\n")
parser.HMSG_RE = re.compile(rb"\AHMSG" + GAP + _PLACE + rb"(\d+)" + GAP + rb"(\d+)\r\n")


class Client(client.Client):
    async def _process_headers(self, headers: bytes | None) -> dict[str, str] | None:
        """The headers as far as they are any. Never raises."""
        try:
            return await super()._process_headers(headers)
        except (ValueError, IndexError) as error:
            log.warning("a message has headers that are none: %s", error)
            return None

    def _build_message(
        self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: dict[str, str] | None
    ) -> nats_msg.Msg:
        return self.msg_class(
            _client=self,
            subject=subject.decode(errors="replace"),
            reply=reply.decode(errors="replace"),
            data=data,
            headers=headers,
            _sid=sid,
        )
