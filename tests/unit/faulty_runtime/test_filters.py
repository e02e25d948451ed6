"""Filters match as containerd's do."""

import pytest

from support.faulty_runtime.filters import matches

FIELDS = {"namespace": "k8s.io", "topic": "/containers/create", "target.digest": "sha256:ab"}


@pytest.mark.parametrize(
    ("filters", "matched"),
    [
        ([], True),
        (['topic=="/containers/create"'], True),
        (['namespace=="k8s.io",topic=="/containers/create"'], True),
        (['namespace=="moby",topic=="/containers/create"'], False),
        (['namespace=="moby"', "topic==/containers/create"], True),
        (['topic~="^/containers/"'], True),
        (['topic~="^/images/"'], False),
        (['topic!="/containers/create"'], False),
        (['namespace!="moby"'], True),
        (['target.digest=="sha256:ab"'], True),
        (['other=="x"'], False),
        (['topic~="/containers/(create|delete)"'], True),
        (['topic=="a,b"'], False),
    ],
)
def test_matches(filters: list[str], matched: bool) -> None:
    """All selectors of one filter have to match, and one filter of several."""
    assert matches(filters, FIELDS) is matched


@pytest.mark.parametrize("text", ["", "topic", "topic=x", 'topic=="a" namespace=="b"', 'topic=="a",', 'topic=="a'])
def test_what_is_no_filter(text: str) -> None:
    """A text that containerd would reject is an error, not a filter that matches nothing."""
    with pytest.raises(ValueError, match="is no filter"):
        matches([text], FIELDS)
