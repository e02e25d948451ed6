"""How times, ages, bytes, shares and foreign text are written for people and for programs.

It must not depend on a locale, nor round what programs read: that keeps every digit.
"""

from datetime import UTC, datetime, timedelta

MOST_ROWS = 50
"""Rows that a table shows of one kind; more of them need `--all`."""

_BINARY_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_AGE_UNITS = ((86_400, "d"), (3_600, "h"), (60, "m"))


def rfc3339(at: datetime | None) -> str | None:
    """A time in UTC with `Z`; None where it is not known."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z") if at else None


def human_bytes(size_bytes: int | None) -> str:
    """Bytes in the largest binary unit that leaves at least one: `1.5 GiB`; `-` where not known."""
    if size_bytes is None:
        return "-"
    size, unit = float(size_bytes), 0
    # 1023.95 and more would be written as 1024.0.
    while size >= 1023.95 and unit < len(_BINARY_UNITS) - 1:  # noqa: PLR2004
        size, unit = size / 1024, unit + 1
    return f"{size:.1f} {_BINARY_UNITS[unit]}" if unit else f"{size_bytes} B"


def human_age(age: timedelta | None) -> str:
    """An age in whole units, the largest of which there are two: `45d`, `30h`; `-` where not known."""
    if age is None:
        return "-"
    seconds = max(0, int(age.total_seconds()))
    for length, unit in _AGE_UNITS:
        if seconds >= 2 * length:
            return f"{seconds // length}{unit}"
    return f"{seconds}s"


def human_duration(seconds: float) -> str:
    """A duration as people time it: `0.4 s`, `92 s`, `14m`."""
    if seconds < 10:  # noqa: PLR2004
        return f"{seconds:.1f} s"
    return f"{seconds:.0f} s" if seconds < 120 else human_age(timedelta(seconds=seconds))  # noqa: PLR2004


def human_percent(percent: float | None) -> str:
    """A share with one digit: `71.2 %`; `-` where there is no limit."""
    return "-" if percent is None else f"{percent:.1f} %"


def one_line(text: str) -> str:
    """Foreign text on one line, with what a terminal would act on made visible."""
    words = " ".join(text.split())
    return words if words.isprintable() else "".join(_visible(character) for character in words)


def _visible(character: str) -> str:
    return character if character.isprintable() else character.encode("unicode_escape").decode("ascii")


def short_id(image_id: str) -> str:
    """The twelve digits that crictl shows of an image id."""
    return image_id.rpartition(":")[2][:12]


def short_reference(reference: str) -> str:
    """A reference with twelve digits of its digest; tags stay whole."""
    name, at, digest = reference.partition("@")
    algorithm, _, digits = digest.partition(":")
    return f"{name}@{algorithm}:{digits[:12]}" if at else name
