"""Values in few bytes, as cursors hold them: a header of HTTP has room for a page's cursors of 150 collections."""

import base64
import binascii
import math
import struct
from typing import Any, Final

import bson
from bson.binary import UuidRepresentation
from bson.codec_options import CodecOptions, DatetimeConversion
from bson.objectid import ObjectId

#: As the client of MongoDB reads documents, so that an `_id` comes back as what it was read as.
CODEC: Final = CodecOptions[dict[str, Any]](
    uuid_representation=UuidRepresentation.STANDARD, datetime_conversion=DatetimeConversion.DATETIME_AUTO
)
#: What timestamps are written with; two of these take a byte, nearly.
_ALPHABET: Final = "0123456789-:T .Z+"
#: How an instant is written: in whole units of so many a second, else as a double.
_UNITS: Final = (1, 1000, 1_000_000)
_DOUBLE: Final = len(_UNITS)
_KINDS: Final = len(_UNITS) + 1
#: How an `_id` is written.
_OBJECT_ID, _TEXT, _OTHER = range(3)
_OBJECT_ID_BYTES: Final = 12
#: The checksum of nothing: not 0, so that zeros alone are no cursor.
_CHECK_START: Final = 0x4F50


class Packer:
    """Writes values one after the other."""

    def __init__(self) -> None:
        self._held = bytearray()

    def whole(self, value: int) -> None:
        """A whole number from 0 on."""
        while value > 0x7F:
            self._held.append(value & 0x7F | 0x80)
            value >>= 7
        self._held.append(value)

    def instant(self, value: float, base: float = 0.0) -> None:
        """An instant, shortest where it is whole seconds, milli- or microseconds and lies near `base`."""
        for kind, unit in enumerate(_UNITS):
            count = round(value * unit)
            if count / unit == value:
                distance = count - round(base * unit)
                self.whole((abs(distance) << 1 | (distance < 0)) * _KINDS + kind)
                return
        self.whole(_DOUBLE)
        self._held += struct.pack("<d", value)

    def text(self, value: str) -> None:
        if all(character in _ALPHABET for character in value):
            number = 1
            for character in value:
                number = number * len(_ALPHABET) + _ALPHABET.index(character)
            self._bytes(number.to_bytes((number.bit_length() + 7) // 8), flag=1)
        else:
            self._bytes(value.encode("utf-8", "surrogatepass"), flag=0)

    def id(self, value: Any) -> None:
        """A document's `_id`, of any type of BSON."""
        if isinstance(value, ObjectId):
            self.whole(_OBJECT_ID)
            self._held += value.binary
        elif type(value) is str:
            self.whole(_TEXT)
            self.text(value)
        else:
            self.whole(_OTHER)
            self._bytes(bson.encode({"": value}, codec_options=CODEC), flag=0)

    def to_text(self) -> str:
        """What was written, with a checksum, safe in a URL."""
        check = binascii.crc_hqx(self._held, _CHECK_START).to_bytes(2)
        return base64.urlsafe_b64encode(bytes(self._held) + check).decode("ascii").rstrip("=")

    def _bytes(self, value: bytes, flag: int) -> None:
        self.whole(len(value) << 1 | flag)
        self._held += value


class Unpacker:
    """Reads what a Packer wrote, in the same order. Every method raises ValueError where there is something else."""

    def __init__(self, text: str) -> None:
        held = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        self._held, check = held[:-2], held[-2:]
        if binascii.crc_hqx(self._held, _CHECK_START).to_bytes(2) != check:
            raise ValueError("the checksum is wrong")
        self._at = 0

    def whole(self) -> int:
        value = shift = 0
        while True:
            byte = self._take(1)[0]
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte <= 0x7F:
                return value

    def instant(self, base: float = 0.0) -> float:
        value, kind = divmod(self.whole(), _KINDS)
        if kind == _DOUBLE:
            (instant,) = struct.unpack("<d", self._take(8))
        else:
            distance = -(value >> 1) if value & 1 else value >> 1
            instant = (round(base * _UNITS[kind]) + distance) / _UNITS[kind]
        if not math.isfinite(instant):
            raise ValueError("not an instant")
        return float(instant)

    def text(self) -> str:
        value, flag = self._bytes()
        if not flag:
            return value.decode("utf-8", "surrogatepass")
        number = int.from_bytes(value)
        characters = []
        while number > 1:
            number, character = divmod(number, len(_ALPHABET))
            characters.append(_ALPHABET[character])
        return "".join(reversed(characters))

    def id(self) -> Any:
        kind = self.whole()
        if kind == _OBJECT_ID:
            return ObjectId(self._take(_OBJECT_ID_BYTES))
        return self.text() if kind == _TEXT else bson.decode(self._bytes()[0], CODEC)[""]

    def end(self) -> None:
        if self._at != len(self._held):
            raise ValueError("there is more than was written")

    def _bytes(self) -> tuple[bytes, int]:
        head = self.whole()
        return self._take(head >> 1), head & 1

    def _take(self, count: int) -> bytes:
        taken = self._held[self._at : self._at + count]
        if len(taken) < count:
            raise ValueError("there is less than was written")
        self._at += count
        return taken
