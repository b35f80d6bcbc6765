"""Messages as bytes on a socket, against bytes written by hand."""

import socket
import struct
import threading
from collections.abc import Iterator

import bson
import pytest

from benchmarks.op_msg import DOCUMENT_AT, command_of, cursor_offset, receive, send

#: {"ping": 1, "$db": "a"} as BSON, by hand: its size, an int32, a text, the end.
PING = bytes.fromhex("1a0000001070696e670001000000022464620002000000610000")
OP_MSG, OP_QUERY = 2013, 2004


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    one, other = socket.socketpair()
    with one, other:
        yield one, other


def test_an_answer_is_a_header_no_flags_a_kind_and_the_document(pair: tuple[socket.socket, socket.socket]) -> None:
    send(pair[0], [PING[:7], PING[7:]], 3, 9)
    expected = struct.pack("<iiii", 16 + 5 + 26, 3, 9, 2013) + b"\0\0\0\0\0" + PING
    assert pair[1].recv(1000) == expected
    assert len(PING) == 26


def test_a_greeting_is_answered_in_its_own_form(pair: tuple[socket.socket, socket.socket]) -> None:
    send(pair[0], [PING], 3, 9, greeting=OP_QUERY)
    # flags 8 (the server can wait), cursor 0, from 0, one document
    assert pair[1].recv(1000) == struct.pack("<iiiiiqii", 16 + 20 + 26, 3, 9, 1, 8, 0, 0, 1) + PING


def test_a_message_in_crumbs_and_one_of_megabytes_arrive_whole(pair: tuple[socket.socket, socket.socket]) -> None:
    long = bson.encode({"text": "x" * 3_000_000})

    def write() -> None:
        for byte in struct.pack("<iiii", 16 + 5 + 26, 7, 0, OP_MSG) + b"\0\0\0\0\0" + PING:
            pair[0].sendall(bytes([byte]))
        send(pair[0], [long[:1_000_000], long[1_000_000:]], 8)
        pair[0].close()

    threading.Thread(target=write).start()
    first, second = receive(pair[1]), receive(pair[1])
    assert first == (7, OP_MSG, bytearray(b"\0\0\0\0\0" + PING))
    assert second is not None
    assert second[2][DOCUMENT_AT:] == long
    assert receive(pair[1]) is None


def test_commands_are_read_from_both_forms() -> None:
    ping = {"ping": 1, "$db": "a"}
    assert command_of(OP_MSG, b"\0\0\0\0\0" + PING) == (ping, True)
    assert command_of(OP_MSG, b"\2\0\0\0\0" + PING) == (ping, False)
    assert command_of(OP_QUERY, struct.pack("<i", 4) + b"admin.$cmd\0" + struct.pack("<ii", 0, -1) + PING) == (
        ping,
        True,
    )
    with pytest.raises(ValueError, match="2012"):
        command_of(2012, b"")


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("start", [0, 5])
def test_the_cursor_is_found_wherever_the_server_puts_it(before: bool, start: int) -> None:
    batch = [{"id": bson.Int64(1), "cursor": {"id": bson.Int64(2)}, "x": [1.5, None, True, "text", b"bytes"]}]
    number = bson.Int64(0x1122334455667788)
    cursor = {"id": number, "firstBatch": batch} if before else {"firstBatch": batch, "ns": "a.b", "id": number}
    others = {"t": bson.Timestamp(1, 2), "n": 1, "at": bson.ObjectId(), "d": bson.Decimal128("1"), "b": b"x"}
    data = bytes(start) + bson.encode({**others, "cursor": cursor, "ok": 1.0})
    at = cursor_offset(data, start)
    assert at is not None
    assert data[at : at + 8] == bytes.fromhex("8877665544332211")


def test_an_answer_without_a_cursor_has_none() -> None:
    assert cursor_offset(bson.encode({"n": 4, "id": bson.Int64(4), "values": [{"cursor": {}}], "ok": 1.0})) is None
