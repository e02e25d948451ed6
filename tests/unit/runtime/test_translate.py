"""From messages to values: names, JSON and times."""

import json
import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from cleaner.core.errors import RuntimeRejectedError
from cleaner.runtime import translate
from cleaner.runtime.pb import cri_pb2 as pb

GO_ZERO_SECONDS = -62135596800


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2024-05-06T07:08:09Z", datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)),
        ("2024-05-06T07:08:09.123456789Z", datetime(2024, 5, 6, 7, 8, 9, 123456, tzinfo=UTC)),
        ("2024-05-06T07:08:09.5+02:30", datetime(2024, 5, 6, 4, 38, 9, 500000, tzinfo=UTC)),
        ("2024-05-06T20:08:09-07:00", datetime(2024, 5, 7, 3, 8, 9, tzinfo=UTC)),
        ("0001-01-01T00:00:00Z", datetime(1, 1, 1, tzinfo=UTC)),
        ("1970-01-01T00:00:00Z", datetime(1970, 1, 1, tzinfo=UTC)),
        ("9999-12-31T23:59:59Z", datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
    ],
)
def test_times(text: str, time: datetime) -> None:
    """Go's times are read with any fraction and offset, in UTC to the microsecond."""
    assert translate.parse_time(text) == time


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "2024-05-06",
        "2024-05-06T07:08:09",
        "2024-05-06 07:08:09Z",
        "2024-13-06T07:08:09Z",
        "2024-02-30T07:08:09Z",
        "2024-05-06T07:08:60Z",
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59-00:01",
        "2024-05-06T07:08:09+99:00",
        "٢٠٢٤-05-06T07:08:09Z",
        "2024-W01-1T07:08:09Z",
        "2024-05-06T07:08:09Z\n",
    ],
)
def test_no_times(text: str) -> None:
    """Text that is no RFC 3339 time, or one outside Python's range, is no time."""
    assert translate.parse_time(text) is None


@given(
    st.datetimes(min_value=datetime(2, 1, 1), max_value=datetime(9998, 1, 1)),  # noqa: DTZ001 - the offset follows
    st.integers(min_value=-14 * 60, max_value=14 * 60),
)
def test_every_time(naive: datetime, offset_minutes: int) -> None:
    """Every time at every offset is read as the moment that it is."""
    time = naive.replace(tzinfo=timezone(timedelta(minutes=offset_minutes)))
    assert translate.parse_time(time.isoformat()) == time


@given(st.text())
def test_any_text(text: str) -> None:
    """No text makes the parser fail, and none but a time is read as one."""
    # Hypothesis also draws the texts that the code contains, such as Go's zero time.
    is_time = re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", text, re.ASCII)
    assert is_time or translate.parse_time(text) is None


@pytest.mark.parametrize(
    ("seconds", "nanos", "time"),
    [
        (GO_ZERO_SECONDS, 0, None),
        (GO_ZERO_SECONDS - 1, 0, None),
        (GO_ZERO_SECONDS, 999, None),
        (GO_ZERO_SECONDS, 1000, datetime(1, 1, 1, 0, 0, 0, 1, tzinfo=UTC)),
        (0, 0, datetime(1970, 1, 1, tzinfo=UTC)),
        (1, 999_999_999, datetime(1970, 1, 1, 0, 0, 1, 999_999, tzinfo=UTC)),
        (253402300799, 0, datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
        (253402300800, 0, None),
        (2**63 - 1, 0, None),
    ],
)
def test_timestamps(seconds: int, nanos: int, time: datetime | None) -> None:
    """Go's zero time and what lies outside of Python's years is no time."""
    assert translate.translate_time(Timestamp(seconds=seconds, nanos=nanos)) == time


def test_no_names() -> None:
    """Placeholders for missing names are dropped; a name without a tag still says what it is."""
    image = translate.translate_image(
        pb.Image(
            id="i",
            repo_tags=["b:1", "", "<none>:<none>", "a:1", "c:<none>", "a:1"],
            repo_digests=["<none>@<none>", "d@sha256:1", ""],
            size=7,
            pinned=True,
        )
    )
    assert (image.tags, image.digests) == (("a:1", "b:1", "c:<none>"), ("d@sha256:1",))
    assert (image.size_bytes, image.pinned, image.readable) == (7, True, True)


def test_created() -> None:
    """An image's build time is in the spec of its verbose status."""
    info = {"info": json.dumps({"imageSpec": {"created": "2024-05-06T07:08:09Z"}})}
    assert translate.read_created_at(info) == datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    "info",
    [{}, {"info": ""}, {"info": "{}"}, {"info": '{"imageSpec": null}'}, {"info": '{"imageSpec": {"created": 5}}'}],
)
def test_created_not_told(info: dict[str, str]) -> None:
    """A status that does not tell the build time leaves it unknown."""
    assert translate.read_created_at(info) is None


@pytest.mark.parametrize("text", ["{", "[]", "null", "[" * 100_000])
def test_unreadable_json(text: str) -> None:
    """JSON that cannot be read is an error, whether it was to tell an image's time or a sandbox's image."""
    for read, key in (
        (translate.read_created_at, "info"),
        (translate.read_sandbox_image, "info"),
        (translate.read_next_sandbox_image, "config"),
    ):
        with pytest.raises(RuntimeRejectedError):
            read({key: text})


@pytest.mark.parametrize("text", ["{}", '{"image": ""}', '{"image": null}', '{"image": ["x"]}'])
def test_no_sandbox_image(text: str) -> None:
    """A sandbox status without an image names none."""
    assert translate.read_sandbox_image({"info": text}) is None
