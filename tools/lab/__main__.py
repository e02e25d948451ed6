"""The lab by hand: prefetch what it runs, or bring one up until Ctrl-C.

It leaves nothing behind: the end of `up`, by Ctrl-C or SIGTERM, removes the whole lab.
"""

import argparse
import os
import signal
import sys

from lab.errors import LabError, LabUnavailable
from lab.lab import Lab
from lab.leftovers import LEFTOVERS
from lab.toolbox import VERSIONS, fetch_everything


def main() -> int:
    """Carry out one command; 1 with a sentence on stderr if the lab cannot."""
    options = _parser().parse_args()
    try:
        if options.command == "fetch":
            fetch_everything()
        elif options.command == "reap":
            return _reap()
        else:
            _stay_up(options)
    except LabError as error:
        sys.stderr.write(f"lab: {error}\n")
        return 1
    return 0


def _reap() -> int:
    """Print the labs that it removed; report those that it cannot remove on stderr.

    LabUnavailable: the user is not root, and so could neither find nor remove them.
    """
    if os.geteuid() != 0:
        raise LabUnavailable("Removing labs needs root.")
    left = LEFTOVERS.reap()
    for folder in LEFTOVERS.reaped:
        print(f"{folder} was removed.")
    print("Some labs remain: end what uses them, then try again." if left else "No lab of a dead process is left.")
    return 1 if left else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m lab", description="A private containerd for tests.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("fetch", help="fetch what labs of all versions run into the cache folder")
    commands.add_parser("reap", help="remove leftovers of dead labs; name the processes that still use one")
    up = commands.add_parser("up", help="bring a lab up and keep it until Ctrl-C")
    up.add_argument("--version", choices=(*VERSIONS, "2.1"), default="1.6", help="containerd (default: %(default)s)")
    up.add_argument("--filesystem", choices=("ext4", "xfs"), default="ext4", help="of the disk (default: %(default)s)")
    up.add_argument("--size-mib", type=int, default=600, help="of the disk (default: %(default)s)")
    up.add_argument("--inodes", type=int, help="on the disk, ext4 only (default: mkfs's choice)")
    up.add_argument("--debug", action="store_true", help="let containerd log at debug level")
    return parser


def _stay_up(options: argparse.Namespace) -> None:
    # Blocked before any thread starts, so that all threads inherit it and sigwait alone sees them.
    ends = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)
    disk = (options.filesystem, options.size_mib, options.inodes)
    with Lab(options.version, *disk, debug=options.debug) as lab:
        print(f"containerd {lab.version}\nsocket     {lab.endpoint}\ndisk       {lab.disk}\nlog        {lab.log}")
        print("Ctrl-C removes it all.", flush=True)
        signal.sigwait(ends)


if __name__ == "__main__":
    sys.exit(main())
