"""Filters match as containerd's do."""

import pytest

from support.containerd_filters import matches

FIELDS = {
    "namespace": "k8s.io",
    "topic": "/containers/create",
    "target.digest": "sha256:ab",
    "labels.gc/ref.x": "sha256:c",
}


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
        (['labels."gc/ref.x"=="sha256:c"'], True),
        (['labels."gc/ref.x"=="sha256:d"'], False),
        (['labels."gc/ref.y"=="sha256:c"'], False),
        (['topic~="^(/containers/create|/a)$",target.digest~="^sha256:[0-9a-f]{2}$"'], True),
        (['topic~="^(/containers/create|/a)$",target.digest~="^sha256:[0-9a-f]{3}$"'], False),
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
