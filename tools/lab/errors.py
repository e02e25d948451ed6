"""What the lab raises: the machine cannot have a lab, or a lab that stands has failed.

It raises no other package's exceptions: a caller of the lab catches these two and nothing else.
"""


class LabError(Exception):
    """A step of the lab failed; the message says which, with the tool's own words."""


class LabUnavailable(LabError):  # noqa: N818 - a state of the machine, named as its callers say it
    """The machine cannot bring up a lab; the message is one sentence, fit for a skip reason."""
