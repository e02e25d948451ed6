"""The private containerd of a lab: its process, its CRI channel and its ctr.

It reports ready only once CRI answers.
"""

from lab.config import Folders
from lab.cri import Cri
from lab.errors import LabError
from lab.process import Process
from lab.shell import run
from lab.toolbox import Toolbox
from lab.waiting import wait_until


class Node:
    """One containerd that can be started, killed and asked."""

    def __init__(self, toolbox: Toolbox, folders: Folders) -> None:
        """Describe a containerd whose configuration file is written; start() runs it."""
        self._toolbox = toolbox
        self._folders = folders
        command = [str(toolbox.containerd), "--config", str(folders.config)]
        self._process = Process("containerd", command, toolbox.environment, folders.log)
        self._cri: Cri | None = None

    @property
    def cri(self) -> Cri:
        """Return the open channel; LabError while containerd is down."""
        if self._cri is None:
            raise LabError("containerd is not running")
        return self._cri

    @property
    def pid(self) -> int | None:
        """Return containerd's process id, None while it is down."""
        return self._process.pid

    def start(self) -> None:
        """Run containerd and wait until CRI answers; LabError carries its last lines."""
        self._process.start()
        try:
            wait_until(self._serves, "containerd listens")
            self._cri = Cri(self._folders.socket)
            wait_until(self._cri.answers, "CRI answers")
        except LabError as error:
            tail = self._process.log_tail()
            self.kill()
            raise LabError(f"containerd does not come up: {error}\n{tail}") from error

    def stop(self) -> None:
        """End containerd in order; shims and containers go on."""
        self._close_channel()
        self._process.stop()

    def kill(self) -> None:
        """End containerd as a crash would; shims and containers go on."""
        self._close_channel()
        self._process.kill()

    def ctr(self, *words: str) -> str:
        """Run ctr in CRI's namespace and return what it printed."""
        environment = self._toolbox.environment
        return run(self._toolbox.ctr, "-a", self._folders.socket, "-n", "k8s.io", *words, environment=environment)

    def _serves(self) -> bool:
        self._process.raise_if_dead()
        return self._folders.socket.exists()

    def _close_channel(self) -> None:
        if self._cri is not None:
            self._cri.close()
            self._cri = None
        # A socket file of a dead containerd would pass for a new one's.
        self._folders.socket.unlink(missing_ok=True)
