"""Reads the time zone of the schedule, and explains what is none: abbreviations, offsets and typing errors.

It must not propose a zone that may be another one: a wrong zone moves the nightly sweep by hours.
"""

import re
from io import BytesIO
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from cleaner.config.spelling import edits
from cleaner.config.values import kind_of, text

EXAMPLE_ZONE = "Europe/Paris"
LONG_CITY = 8
"""So many letters of a place make it the same one in spite of two edits."""
_EASTERNMOST, _WESTERNMOST = 14, 12
"""Hours for which there is a zone `Etc/GMT-14`, `Etc/GMT+12`."""

_OFFSET = re.compile(r"(?:UTC|GMT|Z)?\s*([+\u2212-])?\s*([0-9]{1,2})(?::?([0-9]{2}))?", re.IGNORECASE)
_ABBREVIATIONS: dict[str, tuple[str, ...]] = {
    "ACDT": ("Australia/Adelaide",),
    "ACST": ("Australia/Adelaide", "Australia/Darwin"),
    "ADT": ("America/Halifax",),
    "AEDT": ("Australia/Sydney",),
    "AEST": ("Australia/Sydney", "Australia/Brisbane"),
    "AET": ("Australia/Sydney",),
    "AKDT": ("America/Anchorage",),
    "AKST": ("America/Anchorage",),
    "AMT": ("America/Manaus", "Asia/Yerevan"),
    "ART": ("America/Argentina/Buenos_Aires",),
    "AST": ("America/Halifax", "America/Puerto_Rico", "Asia/Riyadh"),
    "AWST": ("Australia/Perth",),
    "BRT": ("America/Sao_Paulo",),
    "BST": ("Europe/London", "Asia/Dhaka"),
    "CAT": ("Africa/Maputo",),
    "CDT": ("America/Chicago", "America/Havana"),
    "CEST": ("Europe/Paris", "Europe/Berlin"),
    "CLT": ("America/Santiago",),
    "COT": ("America/Bogota",),
    "CST": ("America/Chicago", "Asia/Shanghai", "America/Havana"),
    "CT": ("America/Chicago",),
    "EAT": ("Africa/Nairobi",),
    "ECT": ("America/Guayaquil", "Europe/Paris"),
    "EDT": ("America/New_York",),
    "EEST": ("Europe/Athens", "Europe/Helsinki"),
    "EST": ("America/New_York",),
    "ET": ("America/New_York",),
    "GST": ("Asia/Dubai", "Atlantic/South_Georgia"),
    "HDT": ("America/Adak",),
    "HKT": ("Asia/Hong_Kong",),
    "ICT": ("Asia/Bangkok",),
    "IDT": ("Asia/Jerusalem",),
    "IRST": ("Asia/Tehran",),
    "IST": ("Asia/Kolkata", "Asia/Jerusalem", "Europe/Dublin"),
    "JST": ("Asia/Tokyo",),
    "KST": ("Asia/Seoul",),
    "MDT": ("America/Denver",),
    "MEST": ("Europe/Paris", "Europe/Berlin"),
    "MESZ": ("Europe/Berlin",),
    "MEZ": ("Europe/Berlin",),
    "MSK": ("Europe/Moscow",),
    "MST": ("America/Denver", "America/Phoenix"),
    "MT": ("America/Denver",),
    "NDT": ("America/St_Johns",),
    "NPT": ("Asia/Kathmandu",),
    "NST": ("America/St_Johns",),
    "NZDT": ("Pacific/Auckland",),
    "NZST": ("Pacific/Auckland",),
    "PDT": ("America/Los_Angeles",),
    "PET": ("America/Lima",),
    "PHT": ("Asia/Manila",),
    "PKT": ("Asia/Karachi",),
    "PST": ("America/Los_Angeles", "Asia/Manila"),
    "PT": ("America/Los_Angeles",),
    "SAST": ("Africa/Johannesburg",),
    "SGT": ("Asia/Singapore",),
    "SST": ("Pacific/Pago_Pago", "Asia/Singapore"),
    "TRT": ("Europe/Istanbul",),
    "WAT": ("Africa/Lagos",),
    "WEST": ("Europe/Lisbon",),
    "WIB": ("Asia/Jakarta",),
    "Z": ("UTC",),
}
"""Where each is in use; of an abbreviation with several offsets, a place for each."""
_FIXED = {"EST": "America/New_York", "MST": "America/Denver"}
"""Abbreviations that are names too, in capitals, of zones without daylight saving; and a place that has it."""
_INVERTED = re.compile(r"(?:Etc/)?GMT([+-])([0-9]{1,2})")
_TZIF_OF_UTC = b"TZif" + bytes(16) + b"".join(n.to_bytes(4) for n in (0, 0, 0, 0, 1, 4)) + bytes(6) + b"UTC\0"
"""RFC 9636: no transition, one type of local time."""


def utc() -> ZoneInfo:
    """The zone UTC, also on a machine without any data of time zones."""
    try:
        return ZoneInfo("UTC")
    except ZoneInfoNotFoundError:
        return ZoneInfo.from_file(BytesIO(_TZIF_OF_UTC), "UTC")


def zone(value: object) -> ZoneInfo:
    """A time zone by its IANA name."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise ValueError(f"{kind_of(value)}; write an IANA name such as {EXAMPLE_ZONE}")
    name = text(value)
    if name == "UTC":
        return utc()
    try:
        return ZoneInfo(name)
    except (LookupError, ValueError, OSError) as error:
        raise ValueError(explain_no_zone(name, available_timezones())) from error


def zone_hint(zone: ZoneInfo) -> str | None:
    """What a person may not know who wrote the name of a zone that exists; None where there is nothing to say."""
    if place := _FIXED.get(zone.key):
        return f"{zone.key} has no daylight saving; write a place such as {place} for that"
    if (found := _INVERTED.fullmatch(zone.key)) and int(found[2]):
        side = "ahead of" if found[1] == "-" else "behind"
        return f"{zone.key} is {int(found[2])} h {side} UTC: the sign in these names is inverted"
    return None


def closest_zone(name: str, zones: set[str]) -> str | None:
    """The zone of which a name is a misspelling; None unless it can be no other.

    Case and separators do not count. Else it is one edit, or two in the long name of a place, and every other zone is
    at least two edits further away; names without a place are too short for that.
    """
    wanted = _folded(name)
    if same := [each for each in zones if _folded(each) == wanted]:
        return same[0] if len(same) == 1 else None
    places = [each for each in zones if "/" in each and not each.startswith("Etc/")]
    most = 2 if len(name.rpartition("/")[2]) >= LONG_CITY else 1
    counts = sorted((edits(wanted, _folded(each), most + 1), each) for each in places)
    # No count is above most + 2, so of zones that are too far away none is two edits nearer than the next.
    (least, found), (next_one, _) = [*counts, (most + 2, ""), (most + 2, "")][:2]
    return found if "/" in name and next_one >= least + 2 else None


def explain_no_zone(name: str, zones: set[str]) -> str:
    """What is wrong with a name that no zone of this machine has, and what to write: it continues `VALUE: `."""
    if not zones:
        return "cannot be looked up, since this machine has no data of time zones; install tzdata, or write UTC"
    if name in zones:
        return "cannot be read from this machine's data of time zones; install tzdata again, or write UTC"
    if offset := _OFFSET.fullmatch(name):
        return _explain_offset(*offset.groups())
    if places := _ABBREVIATIONS.get(name.upper()):
        return _explain_abbreviation(places)
    return f"is no time zone; write {closest_zone(name, zones) or f'an IANA name such as {EXAMPLE_ZONE}'}"


def _explain_abbreviation(places: tuple[str, ...]) -> str:
    """Most of them have several offsets somewhere in the world, and none knows when clocks are changed."""
    if len(places) == 1:
        return f"is an abbreviation and no name of a zone; write {places[0]}"
    proposed = f"{', '.join(places[:-1])} or {places[-1]}"
    return f"is an abbreviation, which several zones share; write the IANA name of yours, such as {proposed}"


def _explain_offset(sign: str | None, hours: str, minutes: str | None) -> str:
    """An offset is no zone; whole hours have a name, with the other sign."""
    count, east = int(hours), sign in ("+", None)
    if not count and not int(minutes or 0):
        return "is an offset; write UTC"
    said = f"is an offset, which has no daylight saving; write an IANA name such as {EXAMPLE_ZONE}"
    if int(minutes or 0) or count > (_EASTERNMOST if east else _WESTERNMOST) or sign is None:
        return said
    fixed = f"Etc/GMT{'-' if east else '+'}{count}"
    return f"{said}, or {fixed} where the clocks are never changed (its sign is inverted)"


def _folded(name: str) -> str:
    """Without case, and with one separator; a minus before a digit is a sign."""
    return re.sub(r"[ -](?![0-9])", "_", name.casefold())
