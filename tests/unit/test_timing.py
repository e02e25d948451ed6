"""The report of `make test`: how long each step took, and which tests were the slowest."""

from pathlib import Path

import pytest

from timing.durations import added_up, by_file, read, slowest, write
from timing.report import Step, report

TESTS = {"tests/e2e/test_a.py::one[1.6]": 90.0, "tests/e2e/test_b.py::two": 180.0, "tests/e2e/test_a.py::three": 30.0}


def test_the_phases_of_a_test_are_added_up() -> None:
    """Set-up, call and tear-down are one duration."""
    assert added_up([("a", 1.0), ("b", 2.0), ("a", 0.5), ("a", 0.25)]) == {"a": 1.75, "b": 2.0}
    assert added_up([]) == {}


def test_files_are_listed_slowest_first() -> None:
    """A file's seconds are those of all its tests."""
    assert list(by_file(TESTS).items()) == [("tests/e2e/test_b.py", 180.0), ("tests/e2e/test_a.py", 120.0)]


@pytest.mark.parametrize(("count", "names"), [(0, []), (2, ["c", "a"]), (3, ["c", "a", "b"]), (4, ["c", "a", "b"])])
def test_the_slowest_are_so_many_at_most(count: int, names: list[str]) -> None:
    """Slowest first, by name where two took the same."""
    assert [name for name, _ in slowest({"b": 1.0, "a": 1.0, "c": 2.0}, count)] == names


def test_durations_are_read_as_written(tmp_path: Path) -> None:
    """Names with blanks, tabs and line ends keep to their lines; a run that wrote nothing has no durations."""
    path = tmp_path / "build" / "unit.tsv"
    write(path, {"a::b[x y]": 1.5, "a::c[\t]": 0.25, "a::d[\n]": 0.125})
    assert read(path) == {"a::b[x y]": 1.5, "a::c[\\t]": 0.25, "a::d[\\n]": 0.125}
    assert read(tmp_path / "none.tsv") == {}
    (tmp_path / "cut.tsv").write_text("1.500\ta::b\n0.2")
    assert read(tmp_path / "cut.tsv") == {"a::b": 1.5}


def test_a_run_is_reported_by_step_and_file() -> None:
    """Each step in its order, the files of the detailed one, the sum, and the slowest tests of all."""
    unit = {"tests/unit/test_c.py::four": 100.0}
    steps = [Step("lint", 6.0), Step("unit", 60.0, tests=unit), Step("e2e", 330.0, tests=TESTS)]
    assert list(report(steps, frozenset({"e2e"}))) == [
        "minutes",
        "    0.1  lint",
        "    1.0  unit",
        "    5.5  e2e",
        "    3.0    tests/e2e/test_b.py",
        "    2.0    tests/e2e/test_a.py",
        "    6.6  total",
        "",
        "4 slowest tests, in seconds",
        "  180.0  tests/e2e/test_b.py::two",
        "  100.0  tests/unit/test_c.py::four",
        "   90.0  tests/e2e/test_a.py::one[1.6]",
        "   30.0  tests/e2e/test_a.py::three",
    ]


def test_a_run_that_failed_is_reported_too() -> None:
    """The step that failed is named, and so are those that did not run."""
    steps = [Step("lint", 6.0), Step("types", 12.0, 2), Step("unit", None)]
    assert list(report(steps, frozenset({"e2e"}))) == [
        "minutes",
        "    0.1  lint",
        "    0.2  types: FAILED",
        "      -  unit: did not run",
        "    0.3  total",
    ]


@pytest.mark.parametrize(("status", "text"), [(130, "interrupted"), (143, "interrupted"), (2, "FAILED"), (1, "FAILED")])
def test_what_was_interrupted_did_not_fail(status: int, text: str) -> None:
    """A step that Ctrl-C or SIGTERM ended is reported as interrupted."""
    assert list(report([Step("unit", 6.0, status)], frozenset()))[1] == f"    0.1  unit: {text}"


def test_ten_tests_are_listed_at_most() -> None:
    """Of eleven the fastest is left out."""
    lines = list(
        report([Step("unit", 1.0, tests={f"t{number:02}": float(number) for number in range(11)})], frozenset())
    )
    assert (lines[-11], lines[-1]) == ("10 slowest tests, in seconds", "    1.0  t01")
