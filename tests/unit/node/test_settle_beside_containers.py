"""A settled reading where containers write to a filesystem of their own."""

from dataclasses import replace

from cleaner.core.disk_usage import Filesystem
from cleaner.node.disk import settle
from support.values import make_usage


def test_containers_that_write_elsewhere_delay_no_removal() -> None:
    """Two readings agree once what a removal frees does, however busy the containers' own filesystem is."""
    readings = iter(range(20))
    pacer: list[float] = []
    images = make_usage(50)

    def read() -> object:
        containers = replace(make_usage(next(readings)), filesystem=Filesystem.CONTAINERS)
        return replace(images, others=(containers,))

    assert settle(read, pacer.append).used_percent == 50  # type: ignore[arg-type]
    assert len(pacer) == 1


def test_a_content_store_elsewhere_has_to_settle_too() -> None:
    """What a removal frees of the content store counts until it no longer changes."""
    readings = iter([10, 9, 8, 8])
    pacer: list[float] = []

    def read() -> object:
        content = replace(make_usage(next(readings)), filesystem=Filesystem.CONTENT)
        return replace(make_usage(50), others=(content,))

    settle(read, pacer.append)  # type: ignore[arg-type]
    assert len(pacer) == 3
