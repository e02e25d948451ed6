"""containerd's filters, as far as clients send them: `topic=="/containers/create",namespace=="k8s.io"`.

Selectors of one filter must all match, and one filter of several is enough. Source: containerd `pkg/filters`.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping

_SELECTOR = re.compile(r'(?P<field>[\w.]+(?:\."[^"]+")?)(?P<operator>==|!=|~=)(?P<value>"(?:[^"\\]|\\.)*"|[^",]*)')
_FILTER = re.compile(re.sub(r"\?P<\w+>", "?:", f"{_SELECTOR.pattern}(?:,{_SELECTOR.pattern})*"))
_OPERATORS: Mapping[str, Callable[[str, str], bool]] = {
    "==": lambda value, wanted: value == wanted,
    "!=": lambda value, wanted: value != wanted,
    "~=": lambda value, wanted: re.search(wanted, value) is not None,
}


def matches(filters: Iterable[str], fields: Mapping[str, str]) -> bool:
    """Whether one of the filters matches, or there is none; ValueError for what is no filter.

    Fields have the names that filters have, without quotes: `topic`, `event.key`, `labels.containerd.io/gc.root`.
    """
    parsed = [_parse(text) for text in filters]
    return not parsed or any(all(_holds(selector, fields) for selector in selectors) for selectors in parsed)


def _parse(text: str) -> list[re.Match[str]]:
    if not _FILTER.fullmatch(text):
        raise ValueError(f"{text!r} is no filter")
    return list(_SELECTOR.finditer(text))


def _holds(selector: re.Match[str], fields: Mapping[str, str]) -> bool:
    value = selector["value"]
    wanted = json.loads(value) if value.startswith('"') else value
    name = selector["field"].replace('"', "")
    return _OPERATORS[selector["operator"]](fields.get(name, ""), wanted)
