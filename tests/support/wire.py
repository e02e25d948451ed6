"""Texts of protobuf messages by their field numbers, for messages that no stub of the project has in full."""

from collections.abc import Iterator, Mapping

_TEXT = 2
"""The wire type of texts, bytes and messages."""


def write_texts(texts: Mapping[int, str]) -> bytes:
    """A message of these fields; empty ones are left out, as protobuf does."""
    return b"".join(
        _varint(number << 3 | _TEXT) + _varint(len(text.encode())) + text.encode()
        for number, text in texts.items()
        if text
    )


def read_texts(message: bytes) -> dict[int, str]:
    """By number, the fields of a message that has only texts, and messages, which are no texts to be read."""
    found: dict[int, str] = {}
    position = 0
    while position < len(message):
        tag, position = _read_varint(message, position)
        size, position = _read_varint(message, position)
        found.setdefault(tag >> 3, message[position : position + size].decode(errors="replace"))
        position += size
    return found


def _varint(value: int) -> bytes:
    return bytes(_groups(value))


def _groups(value: int) -> Iterator[int]:
    while value > 0x7F:
        yield value & 0x7F | 0x80
        value >>= 7
    yield value


def _read_varint(message: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while message[position] & 0x80:
        value |= (message[position] & 0x7F) << shift
        shift += 7
        position += 1
    return value | message[position] << shift, position + 1
