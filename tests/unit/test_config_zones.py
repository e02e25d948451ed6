"""What is said of a time zone that is none: the right zone or none at all."""

import random
import re
import string
import subprocess
import sys
from datetime import UTC, datetime
from zoneinfo import ZoneInfo, available_timezones

import pytest

from cleaner.config.spelling import edits
from cleaner.config.zones import _ABBREVIATIONS, closest_zone, explain_no_zone, zone, zone_hint

ZONES = available_timezones()
KEYS = {name.casefold() for name in ZONES}
ABBREVIATIONS = {
    "JST": "Asia/Tokyo",
    "KST": "Asia/Seoul",
    "EDT": "America/New_York",
    "PDT": "America/Los_Angeles",
    "MSK": "Europe/Moscow",
    "NZST": "Pacific/Auckland",
    "HKT": "Asia/Hong_Kong",
    "est": "America/New_York",
    "z": "UTC",
}
SHARED = {
    "IST": "Asia/Kolkata, Asia/Jerusalem or Europe/Dublin",
    "CST": "America/Chicago, Asia/Shanghai or America/Havana",
    "PST": "America/Los_Angeles or Asia/Manila",
    "BST": "Europe/London or Asia/Dhaka",
    "CEST": "Europe/Paris or Europe/Berlin",
    "cest": "Europe/Paris or Europe/Berlin",
    "AEST": "Australia/Sydney or Australia/Brisbane",
}
UNKNOWN_ABBREVIATIONS = ["AKT", "BOT", "CHST", "GFT", "MVT", "NT", "PGT", "QYZD", "SCT", "UYT", "VET", "YEKT"]
NOT_IN_DATA = {"AET", "CT", "ET", "MT", "PT", "Z", "ECT", "MEST", "MESZ", "MEZ", "PHT"}
"""What people write all the same."""
CITIES = {
    "Africa": ["Benghazi", "Cape_Town", "Kano", "Marrakech", "Rabat", "Tangier"],
    "America": [
        "Atlanta",
        "Austin",
        "Boston",
        "Calgary",
        "Cleveland",
        "Dallas",
        "Houston",
        "Leon",
        "Medellin",
        "Miami",
        "Orlando",
        "Ottawa",
        "Quebec",
        "Quito",
        "San_Diego",
        "San_Francisco",
        "Seattle",
        "Washington",
    ],
    "Asia": [
        "Abu_Dhabi",
        "Ankara",
        "Bangalore",
        "Beijing",
        "Bejing",
        "Busan",
        "Chennai",
        "Delhi",
        "Doha",
        "Haifa",
        "Hanoi",
        "Islamabad",
        "Kobe",
        "Kyoto",
        "Lahore",
        "Mumbai",
        "Osaka",
        "Pune",
        "Shenzhen",
    ],
    "Australia": ["Cairns", "Newcastle"],
    "Europe": [
        "Barcelona",
        "Bari",
        "Basel",
        "Bern",
        "Birmingham",
        "Bologna",
        "Bonn",
        "Cologne",
        "Dresden",
        "Florence",
        "Frankfurt",
        "Geneva",
        "Genoa",
        "Hamburg",
        "Kassel",
        "Krakow",
        "Lyon",
        "Malmo",
        "Manchester",
        "Marseille",
        "Milan",
        "Munich",
        "München",
        "Muenchen",
        "Nice",
        "Parma",
        "Porto",
        "Rotterdam",
        "Seville",
        "Strasbourg",
        "Toulouse",
        "Turin",
        "Valencia",
        "Venice",
    ],
    "Pacific": ["Hilo", "Suva"],
}
"""Without a zone of their own, or not by this name."""
TYPING_ERRORS = {
    "europe/paris": "Europe/Paris",
    "Europe/Pariss": "Europe/Paris",
    "Europe/Pairs": "Europe/Paris",
    "Europ/Paris": "Europe/Paris",
    "America/New York": "America/New_York",
    "America/NewYork": "America/New_York",
    "America/Los_Angles": "America/Los_Angeles",
    "America/Sao_Paolo": "America/Sao_Paulo",
    "America/Port_au_Prince": "America/Port-au-Prince",
    "Asia/Shangai": "Asia/Shanghai",
    "utc": "UTC",
    "cet": "CET",
    "etc/gmt+2": "Etc/GMT+2",
}


def explain(name: str) -> str:
    return explain_no_zone(name, ZONES)


def zones_in(said: str) -> set[str]:
    """The zones that a sentence names."""
    return {word for word in re.split(r"[ ,;()]+", said) if word in ZONES}


@pytest.mark.parametrize(("name", "place"), ABBREVIATIONS.items())
def test_an_abbreviation_of_one_place(name: str, place: str) -> None:
    """It is named what it is, and the zone where it is in use is proposed."""
    assert explain(name) == f"is an abbreviation and no name of a zone; write {place}"
    assert place in ZONES


@pytest.mark.parametrize(("name", "places"), SHARED.items())
def test_an_abbreviation_of_several_zones(name: str, places: str) -> None:
    """Zones that share it are named, and none of them is picked."""
    said = "is an abbreviation, which several zones share; write the IANA name of yours, such as "
    assert explain(name) == said + places
    assert len(zones_in(explain(name))) > 1


def test_every_abbreviation_is_in_use_where_it_is_said_to_be() -> None:
    """Each place has the abbreviation in winter or in summer, unless its zone has a number in place of letters."""
    seasons = [datetime(2026, month, 15, tzinfo=UTC) for month in (1, 7)]
    for abbreviation, places in _ABBREVIATIONS.items():
        for place in places:
            in_use = {day.astimezone(ZoneInfo(place)).tzname() or "" for day in seasons}
            by_number = any(name.startswith(("+", "-")) for name in in_use)
            assert abbreviation in in_use | NOT_IN_DATA or by_number, (abbreviation, place, in_use)


@pytest.mark.parametrize("name", UNKNOWN_ABBREVIATIONS)
def test_other_abbreviations_propose_nothing(name: str) -> None:
    """Letters that are near to the name of a zone are no misspelling of it."""
    assert explain(name) == "is no time zone; write an IANA name such as Europe/Paris"


@pytest.mark.parametrize("name", [f"{area}/{city}" for area, cities in CITIES.items() for city in cities])
def test_another_city_is_not_replaced(name: str) -> None:
    """A city without a zone of its own is not taken for another city."""
    assert closest_zone(name, ZONES) is None


@pytest.mark.parametrize(("name", "meant"), TYPING_ERRORS.items())
def test_a_typing_error_is_recognized(name: str, meant: str) -> None:
    """Case, separators and one or two letters are put right."""
    assert explain(name) == f"is no time zone; write {meant}"


def edited(name: str, chance: random.Random) -> str:
    """The name with one letter more, less, replaced or exchanged with the next."""
    at, letter = chance.randrange(len(name) - 1), chance.choice(string.ascii_letters + "_/-")
    return chance.choice(
        [
            name[:at] + letter + name[at:],
            name[:at] + name[at + 1 :],
            name[:at] + letter + name[at + 1 :],
            name[:at] + name[at + 1] + name[at] + name[at + 2 :],
        ]
    )


@pytest.mark.parametrize("count", [1, 2])
def test_a_misspelled_zone_is_found_or_not_replaced(count: int) -> None:
    """For each zone, with edits at random places, the proposal is that zone or there is none; mostly it is found."""
    chance = random.Random(count)  # noqa: S311 (no secret)
    found = 0
    places = sorted(each for each in ZONES if "/" in each and not each.startswith("Etc/"))
    for meant in places[:: 2 * count - 1]:
        name = meant
        for _ in range(count):
            name = edited(name, chance)
        if edits(name.casefold(), meant.casefold(), count) > count or name.casefold() in KEYS - {meant.casefold()}:
            continue
        proposed = closest_zone(name, ZONES)
        assert proposed in {None, meant}, name
        found += proposed is not None
    assert found > len(places) * (0.7 if count == 1 else 0.1)


@pytest.mark.parametrize(
    ("name", "fixed"),
    [
        ("+02:00", "Etc/GMT-2"),
        ("+0200", "Etc/GMT-2"),
        ("UTC+2", "Etc/GMT-2"),
        ("GMT+2", "Etc/GMT-2"),
        ("utc +2", "Etc/GMT-2"),
        ("UTC\u22125", "Etc/GMT+5"),
        ("-05:00", "Etc/GMT+5"),
        ("+14", "Etc/GMT-14"),
        ("-12", "Etc/GMT+12"),
        ("+15", None),
        ("-13", None),
        ("+05:30", None),
        ("UTC 2", None),
    ],
)
def test_an_offset(name: str, fixed: str | None) -> None:
    """An offset is explained; where a name for it exists, that has the other sign."""
    said = "is an offset, which has no daylight saving; write an IANA name such as Europe/Paris"
    fixed_text = f", or {fixed} where the clocks are never changed (its sign is inverted)" if fixed else ""
    assert explain(name) == said + fixed_text
    assert fixed is None or fixed in ZONES


@pytest.mark.parametrize("name", ["+00:00", "UTC+0", "-0", "Z0"])
def test_no_offset_at_all(name: str) -> None:
    """It is UTC."""
    assert explain(name) == "is an offset; write UTC"


@pytest.mark.parametrize("value", [2, -5, 5.5])
def test_an_offset_that_yaml_reads_as_a_number(value: object) -> None:
    """A number is answered with a name."""
    with pytest.raises(ValueError, match="write an IANA name such as Europe/Paris"):
        zone(value)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("EST", "EST has no daylight saving; write a place such as America/New_York for that"),
        ("MST", "MST has no daylight saving; write a place such as America/Denver for that"),
        ("Etc/GMT-2", "Etc/GMT-2 is 2 h ahead of UTC: the sign in these names is inverted"),
        ("Etc/GMT+12", "Etc/GMT+12 is 12 h behind UTC: the sign in these names is inverted"),
        ("GMT+0", None),
        ("CET", None),
        ("HST", None),
        ("UTC", None),
        ("Europe/Paris", None),
    ],
)
def test_what_a_name_does_not_say(name: str, hint: str | None) -> None:
    """Names that exist are accepted; a hint tells what is easily mistaken."""
    assert zone_hint(zone(name)) == hint


def test_a_machine_without_data() -> None:
    """Where no zone is known that is said, and UTC works all the same."""
    script = "import sys; sys.modules['tzdata'] = None\nfrom datetime import datetime, timedelta\n"
    script += "from cleaner.config.zones import zone\n"
    script += (
        "assert zone('UTC').key == 'UTC' and datetime(2026, 7, 1, tzinfo=zone('UTC')).utcoffset() == timedelta(0)\n"
    )
    script += "try:\n    zone('Europe/Paris')\nexcept ValueError as error:\n    print(error)\n"
    ended = subprocess.run(
        [sys.executable, "-c", script],
        env={"PYTHONTZPATH": "", "PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stdout == (
        "cannot be looked up, since this machine has no data of time zones; install tzdata, or write UTC\n"
    )


def test_a_damaged_zone() -> None:
    """A zone whose name is known and whose file cannot be read is no typing error."""
    assert explain("Europe/Paris").startswith("cannot be read from this machine's data of time zones; install tzdata")


@pytest.mark.parametrize(
    ("name", "zones", "meant"),
    [
        ("Europe/Rxme", {"Europe/Rome"}, "Europe/Rome"),
        ("Europe/Rxxe", {"Europe/Rome"}, None),
        ("Europe/Belgxxd", {"Europe/Belgrade"}, None),
        ("Europe/Belgxxde", {"Europe/Belgrade"}, "Europe/Belgrade"),
        ("Europe/Bexxxade", {"Europe/Belgrade"}, None),
        ("Europe/Rxme", {"Europe/Rome", "Europe/Rxmeabc"}, "Europe/Rome"),
        ("Europe/Rxme", {"Europe/Rome", "Europe/Rxmeab"}, None),
        ("Europe/Belgxxde", {"Europe/Belgrade", "Europe/Belgxxdeabcd"}, "Europe/Belgrade"),
        ("Europe/Belgxxde", {"Europe/Belgrade", "Europe/Belgxxdeabc"}, None),
    ],
)
def test_how_near_a_zone_must_be(name: str, zones: set[str], meant: str | None) -> None:
    """One edit, two from eight letters of the place on; and the next zone two edits further away."""
    assert closest_zone(name, zones) == meant


def test_few_zones() -> None:
    """A machine that knows one zone has little to propose."""
    assert closest_zone("Europe/Pariss", {"Europe/Paris"}) == "Europe/Paris"
    assert closest_zone("Europe/Rome", {"UTC"}) is None
    assert ZoneInfo("Europe/Paris") is zone("Europe/Paris")
