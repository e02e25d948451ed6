"""Keeps what a machine's environment says of proxies, colours and widths out of the tests."""

_NAMES = frozenset(
    {
        "ALL_PROXY",
        "COLUMNS",
        "CURL_CA_BUNDLE",
        "FORCE_COLOR",
        "HTTPS_PROXY",
        "HTTP_PROXY",
        "NO_PROXY",
        "REQUESTS_CA_BUNDLE",
    }
)


def changes_results(name: str) -> bool:
    """Say whether a variable would change what the cleaner prints, or how it reaches a registry."""
    return name.upper() in _NAMES
