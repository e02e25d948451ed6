"""The environment variables of a machine that tests must not depend on: proxies, colours, the terminal's width."""

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
    """Say whether a variable changes what the cleaner prints or how it reaches a registry."""
    return name.upper() in _NAMES
