"""Finds passwords and tokens in text that a person wrote, so that no output repeats them.

There are two questions. Output hides all that may be a secret: everything before an `@` that begins no digest, what
follows a `?`, and the value of anything that is called password or the like. A configuration is refused for less: only
for what is surely a secret, since `team@prod` may well be a name.

It must not know what the text is for.
"""

import re

_MARK = "***"

_AT = re.compile(r"@|%40")
_DIGEST = re.compile(r"@(?:sha(?:256|384|512):[0-9a-fA-F*]*|sha[0-9]{0,3}\*|\*(?::\*)?)")
"""What ends an image reference or a pattern, and is no host."""
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,30}:(?=/)/{0,2}")
_LOGIN = re.compile(r"/{0,2}[^/@\s]*:(?=\S)")
"""How a user and a password begin; the first colon of a path comes later, and a blank follows that of a text."""
_SECRET = r"[\w-]{0,30}(?:password|passwd|pwd|secret|token|api[_-]?key|dockerconfigjson)[\w-]{0,30}"  # noqa: S105 (a pattern)
_SURE = re.compile(rf"{_SECRET}\s*=\s*\S", re.IGNORECASE)
_NAMED = re.compile(
    rf"((?:{_SECRET}|\bpass|auth\w{{0,20}}|credentials?)\s*(?:=|:\s)\s*|\b(?:bearer|basic)\s+)\S.*",
    re.DOTALL | re.IGNORECASE,
)
_QUERY = re.compile(r"\?(?=[^\s?*]).*", re.DOTALL)
"""Five fields of cron may have a lone question mark."""


def has_credentials(text: str) -> bool:
    """Whether text surely has a password or a token in it: `user:password@host`, `token=...`."""
    _, rest = _split_scheme(text)
    login = rest[: _login_end(rest)]
    is_address = login.lower().startswith("mailto:")
    return bool(_LOGIN.match(login) and not is_address) or _SURE.search(text) is not None


def without_credentials(text: str) -> str:
    """The text with `***` in place of whatever may be a user, a password or a token."""
    scheme, rest = _split_scheme(text)
    login = rest[: _login_end(rest)]
    if login and (":" in login or not login.startswith("/")):
        # A query or a pair may have an `@` of its own: then what comes after it is no host.
        is_host_known = not set(login) & set("?#= \n")
        rest = f"{_MARK}@{_AT.sub('', rest[len(login) :], count=1)}" if is_host_known else _MARK
    rest = _QUERY.sub(f"?{_MARK}", _NAMED.sub(rf"\1{_MARK}", rest))
    if scheme and "#" in rest:
        rest = f"{rest.partition('#')[0]}#{_MARK}"
    return scheme + rest


def _split_scheme(text: str) -> tuple[str, str]:
    found = _SCHEME.match(text)
    return (found[0], text[found.end() :]) if found else ("", text)


def _login_end(text: str) -> int:
    """Where the last `@` is that ends a login and begins no digest; 0 where there is none."""
    ends = [at.start() for at in _AT.finditer(text) if not _DIGEST.fullmatch(text, at.start())]
    return ends[-1] if ends else 0
