"""MongoDB's messages: OP_MSG, and the OP_QUERY with which a driver greets a server, as bytes on a socket."""

import socket
import struct
from collections.abc import Iterator
from typing import Any, Final

import bson
from bson.codec_options import CodecOptions, DatetimeConversion

Command = dict[str, Any]
#: A document's bytes, to be sent one after the other.
Pieces = list[bytes | memoryview]

#: Where the document of an OP_MSG of ours begins, after the message's header.
DOCUMENT_AT: Final = 5
_HEADER: Final = struct.Struct("<iiii")
_OP_REPLY: Final = 1
_OP_QUERY: Final = 2004
_OP_MSG: Final = 2013
_MORE_TO_COME: Final = 2
_REPLY_HEAD: Final = struct.pack("<iqii", 8, 0, 0, 1)
#: No flags, and a section of kind 0, which is one document.
_MSG_HEAD: Final = b"\0\0\0\0\0"
_CODEC: Final[CodecOptions[Command]] = CodecOptions(dict, datetime_conversion=DatetimeConversion.DATETIME_MS)
#: Sizes of BSON values by type; of those that are missing the size is in the value.
_SIZES: Final = {0x01: 8, 0x06: 0, 0x07: 12, 0x08: 1, 0x09: 8, 0x0A: 0, 0x10: 4, 0x11: 8, 0x12: 8, 0x13: 16}
_DOCUMENTS: Final = (0x03, 0x04)
#: Messages of fewer bytes are sent in one piece.
_JOINED: Final = 1 << 16


def send(stream: socket.socket, document: Pieces, request_id: int, response_to: int = 0, *, greeting: int = 0) -> None:
    """Send a document: as OP_MSG, or as OP_REPLY in answer to a message with the opcode `greeting` of OP_QUERY.

    Small pieces are joined, since a call costs more than they do; large ones are not copied.
    """
    opcode, head = (_OP_REPLY, _REPLY_HEAD) if greeting == _OP_QUERY else (_OP_MSG, _MSG_HEAD)
    size = _HEADER.size + len(head) + sum(map(len, document))
    pieces = [_HEADER.pack(size, request_id, response_to, opcode), head, *document]
    for piece in pieces if size >= _JOINED else [b"".join(pieces)]:
        stream.sendall(piece)


def receive(stream: socket.socket) -> tuple[int, int, bytearray] | None:
    """The next message: its request id, its opcode and what follows the header; None where the connection ended."""
    header = _exactly(stream, _HEADER.size)
    if header is None:
        return None
    length, request_id, _, opcode = _HEADER.unpack(header)
    body = _exactly(stream, length - _HEADER.size)
    return None if body is None else (request_id, opcode, body)


def _exactly(stream: socket.socket, size: int) -> bytearray | None:
    data = bytearray(size)
    view, got = memoryview(data), 0
    while got < size:
        more = stream.recv_into(view[got:])
        if not more:
            return None
        got += more
    return data


def command_of(opcode: int, body: bytes | bytearray) -> tuple[Command, bool]:
    """The command of a message, and whether an answer is awaited. Only handshakes come as OP_QUERY.

    Raises:
        ValueError: the opcode is another one.
    """
    if opcode == _OP_QUERY:
        return bson.decode(body[body.index(0, 4) + 9 :], _CODEC), True
    if opcode != _OP_MSG:
        raise ValueError(f"Messages of opcode {opcode} are not understood: connect without compression")
    size = int.from_bytes(body[5:9], "little")
    return bson.decode(body[5 : 5 + size], _CODEC), not body[0] & _MORE_TO_COME


def cursor_offset(data: bytes | bytearray, start: int = 0) -> int | None:
    """Where the cursor's id (8 bytes) lies in the answer that begins at `start`; None if it has none."""
    for name, kind, value in _elements(data, start):
        if name == b"cursor" and kind in _DOCUMENTS:
            return next((at for inner, kind, at in _elements(data, value) if (inner, kind) == (b"id", 0x12)), None)
    return None


def _elements(data: bytes | bytearray, start: int) -> Iterator[tuple[bytes | bytearray, int, int]]:
    """Name, type and offset of the values of the document at `start`."""
    offset = start + 4
    while data[offset]:
        kind, end = data[offset], data.index(0, offset + 1)
        name, offset = data[offset + 1 : end], end + 1
        yield name, kind, offset
        if kind in _SIZES:
            offset += _SIZES[kind]
        else:
            size = int.from_bytes(data[offset : offset + 4], "little")
            offset += size if kind in _DOCUMENTS else size + {0x02: 4, 0x05: 5}[kind]
