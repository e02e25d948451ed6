"""The removal of one image, and the question whether it is gone.

Refuses to believe an answer: only what the runtime lists afterwards tells.
"""

from cleaner.core.errors import CleanerError, ImageInUseError
from cleaner.core.model import Image
from cleaner.core.ports import Runtime


def remove_and_confirm(runtime: Runtime, image: Image) -> str | None:
    """None once the image is gone, whatever the call answered; else what is wrong.

    One that is there with a newer pull time was gone too: somebody has pulled it again since. An older one is left
    where the runtime got half-way.
    """
    answer = "the runtime called it removed"
    try:
        runtime.remove_image(image.id)
    except ImageInUseError:
        raise
    except CleanerError as error:
        answer = str(error)
    try:
        present = runtime.read_image(image.id)
    except CleanerError as error:
        return f"{answer}; not known whether it is gone: {error}"
    if present is None:
        return _leftovers_of(runtime, image)
    return None if _is_newer(present, image) else f"{answer}; the image is still there"


def _leftovers_of(runtime: Runtime, image: Image) -> str | None:
    """What of an image that is gone still pins its layers (containerd issue 13875); None where nothing does."""
    try:
        names = runtime.list_leftovers(image)
    except CleanerError as error:
        return f"the image is gone; not known whether records of it are left: {error}"
    return f"the image is gone, but not its records: {', '.join(names)}" if names else None


def _is_newer(present: Image, image: Image) -> bool:
    """Whether an image was pulled after another look at it; False where that is not known."""
    if not present.readable or present.pulled_at is None or image.pulled_at is None:
        return False
    return present.pulled_at > image.pulled_at
