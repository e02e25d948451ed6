"""A real Alertmanager of some version on 127.0.0.1: started, killed, stopped, asked by its own amtool.

Its only receiver is a web server of the test.
"""

import json
import signal
import socket
import subprocess
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from lab.ports import reserve_port
from lab.toolbox import fetch_alertmanager
from lab.waiting import DEADLINE_SECONDS
from support.alertmanager_server import AlertmanagerServer
from support.daemon_process import wait_for

_SHORTEST = "100ms"
"""How long a group waits before its first notification, and before each other: by default half a minute and five."""


class RealAlertmanager:
    """In a with-block it runs, and is ended afterwards; `notifications` has what it sent to its receiver."""

    def __init__(
        self,
        folder: Path,
        version: str,
        group_by: Sequence[str],
        web: dict[str, Any] | None = None,
        client: dict[str, Any] | None = None,
    ) -> None:
        """Describe one, with a configuration of its web server and of the amtool that asks it, where it needs any."""
        self._program, self._amtool = fetch_alertmanager(version)
        self._folder = folder
        self._receiver = AlertmanagerServer()
        self._process: subprocess.Popen[bytes] | None = None
        self.receiver_url = self._receiver.url
        self._port = port = reserve_port()
        self.url = f"{'https' if web else 'http'}://127.0.0.1:{port}"
        route = {"receiver": "test", "group_by": list(group_by), "group_wait": _SHORTEST, "group_interval": _SHORTEST}
        receiver = {"name": "test", "webhook_configs": [{"url": self._receiver.url, "send_resolved": True}]}
        config = {"route": route | {"repeat_interval": "1h"}, "receivers": [receiver]}
        (folder / "alertmanager.yml").write_text(json.dumps(config), encoding="utf-8")
        (folder / "web.yml").write_text(json.dumps(web or {}), encoding="utf-8")
        (folder / "amtool.yml").write_text(json.dumps(client or {}), encoding="utf-8")
        # Debian's reads its templates below /usr/share: in a mount namespace of its own they are there.
        share = self._program.parents[1] / "share"
        self._command = [
            *("unshare", "--mount", "sh", "-c", f'mount --bind "{share}" /usr/share && exec "$@"', "sh"),
            str(self._program),
            f"--config.file={folder}/alertmanager.yml",
            f"--web.config.file={folder}/web.yml",
            f"--storage.path={folder}/storage",
            f"--web.listen-address=127.0.0.1:{port}",
            "--cluster.listen-address=",
        ]

    def __enter__(self) -> Self:
        self._receiver.__enter__()
        self.start()
        try:
            wait_for(self._serves, "Alertmanager serves its port")
        except BaseException as error:
            self.__exit__(type(error), error, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        self._receiver.__exit__(kind, error, trace)
        if kind is not None:
            print(f"--- alertmanager ---\n{(self._folder / 'alertmanager.log').read_text(errors='replace')}")

    def start(self) -> None:
        """Run it; whoever wants an answer waits for it."""
        with (self._folder / "alertmanager.log").open("ab") as log:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
            )

    def kill(self) -> None:
        """End it as a crash would; what it knew of alerts is lost."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def send_signal(self, number: signal.Signals) -> None:
        """Such as SIGSTOP: connections are accepted and nothing is answered."""
        assert self._process is not None
        self._process.send_signal(number)

    def _serves(self) -> bool:
        assert self._process is not None and self._process.poll() is None, "Alertmanager ended"  # noqa: PT018
        try:
            socket.create_connection(("127.0.0.1", self._port)).close()
        except OSError:
            return False
        return True

    @property
    def notifications(self) -> list[Any]:
        """What its receiver got: a group each."""
        return [request.body for request in self._receiver.received]

    def query(self, *flags: str) -> list[Any] | None:
        """The alerts that its amtool shows, such as those `--inhibited`; None while it does not answer."""
        where = (f"--alertmanager.url={self.url}", f"--http.config.file={self._folder}/amtool.yml")
        command = [str(self._amtool), *where, "alert", "query", "-o", "json", *flags]
        found = subprocess.run(command, capture_output=True, text=True, check=False, timeout=DEADLINE_SECONDS)
        return list(json.loads(found.stdout)) if found.returncode == 0 else None

    def wait_for_alerts(self, *names: str) -> list[Any]:
        """The alerts, once amtool shows just these."""

        def shown() -> list[Any] | None:
            alerts = self.query()
            if alerts is None:
                return None
            return alerts if sorted(alert["labels"]["alertname"] for alert in alerts) == sorted(names) else None

        return wait_for(shown, f"amtool shows {names or 'none'}")

    def wait_until_inhibited(self, name: str, **labels: str) -> None:
        """Return once an alert with these labels is inhibited."""
        expected = {"alertname": name} | labels

        def inhibited() -> bool:
            return any(expected.items() <= alert["labels"].items() for alert in self.query("--inhibited") or ())

        wait_for(inhibited, f"{expected} is inhibited")

    def wait_for_notification(self, status: str, *names: str, after: int = 0) -> Any:
        """The first group with all of these alerts in a status, after so many notifications."""

        def sent() -> Any:
            return next((group for group in self.notifications[after:] if set(names) <= _names_in(group, status)), None)

        return wait_for(sent, f"a notification that {names} are {status}")

    def wait_until_last_told(self, **statuses: str) -> None:
        """Return once each of these alerts is `firing` or `resolved` by the last notification that has it."""

        def told() -> bool:
            return statuses.items() <= self._last_told().items()

        wait_for(told, f"the last notifications say {statuses}")

    def ends_of(self, name: str) -> list[datetime]:
        """When an alert ends: by what is shown, and by all notifications that it did; none while there is no answer."""
        shown = self.query()
        if shown is None:
            return []
        resolved = [alert for group in self.notifications for alert in group["alerts"] if alert["status"] == "resolved"]
        return [time_of(alert, "endsAt") for alert in shown + resolved if alert["labels"]["alertname"] == name]

    def _last_told(self) -> dict[str, str]:
        alerts = (alert for group in self.notifications for alert in group["alerts"])
        return {alert["labels"]["alertname"]: alert["status"] for alert in alerts}


def time_of(alert: Any, key: str) -> datetime:
    """One of an alert's times, such as `endsAt`."""
    return datetime.fromisoformat(alert[key])


def _names_in(group: Any, status: str) -> set[str]:
    """The alerts of a notification that are `firing` or `resolved`."""
    return {alert["labels"]["alertname"] for alert in group["alerts"] if alert["status"] == status}
