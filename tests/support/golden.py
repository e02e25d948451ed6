"""Golden files: what a program printed when its output was last reviewed. UPDATE_GOLDEN=1 writes them anew."""

import os
from pathlib import Path


def assert_golden(file: Path, text: str) -> None:
    """The text equals the file; or becomes it, when asked."""
    if os.environ.get("UPDATE_GOLDEN"):
        file.parent.mkdir(exist_ok=True)
        file.write_text(text, "utf-8")
    assert text == file.read_text("utf-8")
