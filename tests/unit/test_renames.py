"""The table of docs/renames.md, as `make renames-check` applies it."""

from pathlib import Path

import pytest

from renames.table import public_renames, renamed

PAGE = (Path(__file__).parents[2] / "docs" / "renames.md").read_text("utf-8")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("cleaner_images 3", "image_cleaner_images 3"),
        ('cleaner_sweep_stops_total{because="window"} 1', 'image_cleaner_sweep_ends_total{reason="window_closed"} 1'),
        ('{because="done"}', '{reason="done"}'),
        ("nightly.duty      20%", "nightly.duty_cycle 20%"),
        ("held_bytes low_marks trace_because", "held_bytes low_marks trace_because"),
        ("a high mark", "a high watermark"),
    ],
)
def test_whole_names_are_replaced_once(old: str, new: str) -> None:
    """The longest name counts, a part of a name does not, and what was replaced is not replaced again."""
    assert renamed(old, public_renames(PAGE)) == new


def test_a_name_has_one_new_name() -> None:
    """Two rows for one old name are found, and other sections do not count."""
    page = "## Public names\n\n| `a` | `b` |\n\n## Modules\n\n| `a` | `c` |\n"
    assert public_renames(page) == {"a": "b"}
    with pytest.raises(ValueError, match="a is renamed twice"):
        public_renames(page.replace("## Modules", "### Values"))


@pytest.mark.parametrize("row", ["| `a` | `b` | ", "| `a` | b |", "| `a` | `b` | `c`", " | `a` | `b` |"])
def test_a_malformed_row_is_an_error(row: str) -> None:
    """A row that would not be read is found, and so is a page without a row."""
    with pytest.raises(ValueError, match="is not a row of the form"):
        public_renames(f"## Public names\n\n| old | new |\n|---|---|\n{row}\n")
    with pytest.raises(ValueError, match="no name is renamed"):
        public_renames("## Public names\n\n| old | new |\n|---|---|\n")


def test_no_new_name_is_an_old_one() -> None:
    """The table has no chain, so its order does not matter."""
    renames = public_renames(PAGE)
    assert not {new for new in renames.values() if not new.endswith("*")} & renames.keys()
