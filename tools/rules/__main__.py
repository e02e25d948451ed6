"""Writes the groups of alerts/*.yaml as one object for Prometheus' operator.

Do not edit the file: a test compares the committed file with what this makes.
"""

import sys
from io import StringIO
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.scalarstring import walk_tree

ROOT = Path(__file__).parents[2]
SOURCES = (ROOT / "alerts" / "rules.yaml", ROOT / "alerts" / "alerts.yaml")
PRODUCT = ROOT / "manifests" / "monitoring" / "prometheusrule.yaml"
HEADER = "# Made by `make alerts` from alerts/*.yaml: edit those.\n"
NAME = "node-image-cleaner"


def read_groups() -> list[Any]:
    """All groups, in the order of their files, without the comments between rules."""
    yaml = YAML(typ="safe", pure=True)
    return [group for source in SOURCES for group in yaml.load(source)["groups"]]


def render() -> str:
    """The object as it is committed."""
    head = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": NAME},
        "spec": {"groups": read_groups()},
    }
    walk_tree(head)  # what has several lines keeps them
    yaml, text = YAML(), StringIO()
    yaml.width = 1000
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.dump(head, text)
    return HEADER + text.getvalue()


def main() -> int:
    """Write the object to its place."""
    PRODUCT.write_text(render(), "utf-8")
    print(f"{PRODUCT.relative_to(ROOT)}: {len(read_groups())} groups")
    return 0


if __name__ == "__main__":
    sys.exit(main())
