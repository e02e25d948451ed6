"""Texts of messages that no stub has in full."""

import pytest

from cleaner.runtime.pb import containerd_events_pb2 as events_pb
from cleaner.runtime.pb import containerd_images_pb2 as images_pb
from support.wire import read_texts, write_texts


@pytest.mark.parametrize("length", [0, 1, 127, 128, 129, 20_000])
def test_texts_of_any_length(length: int) -> None:
    """Protobuf reads what is written, and writes what is read."""
    made = events_pb.ContainerCreate(id="c", image="ä" * length)
    assert events_pb.ContainerCreate.FromString(write_texts({1: made.id, 2: made.image})) == made
    assert read_texts(made.SerializeToString()) == {1: "c"} | ({2: made.image} if length else {})


def test_a_large_field_number_and_a_map() -> None:
    """Fields from 16 on have a longer tag; a field that is no text does not hide the others."""
    assert read_texts(write_texts({1: "a", 18: "b"})) == {1: "a", 18: "b"}
    record = images_pb.Image(name="n", labels={"a": "b"}, target={"digest": "d"})
    assert read_texts(record.SerializeToString())[1] == "n"
