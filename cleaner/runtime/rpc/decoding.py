"""Reading an answer's bytes, more strictly than protobuf does.

A field of another type than it should have counts as unknown to protobuf, and is left out: a list of containers would
be empty, and every image unused.
"""

from typing import TypeVar

from google.protobuf.message import DecodeError, Message
from google.protobuf.unknown_fields import UnknownFieldSet

_Message = TypeVar("_Message", bound=Message)


def decode(kind: type[_Message], data: bytes) -> _Message:
    """The message; DecodeError where it is none, or where one of its own fields has another type.

    Fields that this program does not know are fine: a runtime may be newer.
    """
    message = kind.FromString(data)
    known = message.DESCRIPTOR.fields_by_number
    for field in UnknownFieldSet(message):  # type: ignore[attr-defined] # an iterable by its __getitem__
        if field.field_number in known:
            raise DecodeError(f"{known[field.field_number].name} has a wrong type")
    return message
