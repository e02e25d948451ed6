"""Finds the Debian mirror that this machine's own apt already uses.

It knows no mirror by name: without one in the system's apt sources there is no lab.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lab.errors import LabUnavailable

_HOME_SUITE = "bookworm"
_ONE_LINE = re.compile(r"^deb\s+(?:\[(?P<options>[^\]]*)\]\s+)?(?P<uri>\S+)\s+(?P<suite>\S+)\s+(?P<components>.+)$")


@dataclass(frozen=True)
class Mirror:
    """One Debian archive, as apt is told of it."""

    uri: str
    signed_by: str
    # A key file's path or an embedded key, verbatim; empty means apt's own trusted keys.

    def source(self, suite: str) -> str:
        """Return a deb822 source list that holds one suite of this mirror."""
        signed = f"Signed-By: {self.signed_by}\n" if self.signed_by else ""
        return f"Types: deb\nURIs: {self.uri}\nSuites: {suite}\nComponents: main\n{signed}"


def find_mirror(apt: Path = Path("/etc/apt")) -> Mirror:
    """Return the mirror that serves bookworm here; LabUnavailable without one."""
    for path in [apt / "sources.list", *sorted((apt / "sources.list.d").glob("*"))]:
        for suites, mirror in _entries(path):
            if _HOME_SUITE in suites:
                return mirror
    raise LabUnavailable(f"no apt source of this machine serves Debian's suite {_HOME_SUITE}")


def _entries(path: Path) -> Iterator[tuple[list[str], Mirror]]:
    """Yield each (suites, mirror) of one source file, in its order."""
    if not path.is_file():
        return
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".sources":
        yield from _stanzas(text)
    elif path.suffix == ".list":
        yield from _one_lines(text)


def _stanzas(text: str) -> Iterator[tuple[list[str], Mirror]]:
    without_comments = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    for stanza in re.split(r"\n\s*\n", without_comments):
        # A line that starts with a blank goes on with the field above it.
        pairs = re.findall(r"^(\S+?):[ \t]*(.*(?:\n[ \t].*)*)", stanza, flags=re.MULTILINE)
        fields = {name.lower(): value.strip() for name, value in pairs}
        enabled = fields.get("enabled", "yes").lower() not in ("no", "false", "0")
        if enabled and "deb" in fields.get("types", "").split() and fields.get("uris"):
            mirror = Mirror(fields["uris"].split()[0], fields.get("signed-by", ""))
            yield fields.get("suites", "").split(), mirror


def _one_lines(text: str) -> Iterator[tuple[list[str], Mirror]]:
    for line in text.splitlines():
        match = _ONE_LINE.match(line.split("#")[0].strip())
        if match is not None:
            options = dict(word.split("=", 1) for word in (match["options"] or "").split() if "=" in word)
            yield [match["suite"]], Mirror(match["uri"], options.get("signed-by", ""))
