"""The command line: exit status, output and complaints, against a CRI server that is no runtime."""

import io
import json
import re
import signal
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cleaner.cli.arguments import parser
from cleaner.cli.main import main
from cleaner.cli.wiring import alertmanager_apis_of, alertmanagers_of
from cleaner.config.settings import default_config, load_config
from cleaner.core.errors import RuntimeUnavailableError
from cleaner.core.events import RuntimeDown
from cleaner.node.clock import STOP_SIGNALS
from cleaner.outlets.log.logger import make_logger
from lab.ports import reserve_port
from support.alertmanager_server import AlertmanagerServer
from support.crio_server import Call, CrioServer, ServedContainer, ServedImage
from support.fakes import FakeTimer
from support.golden import assert_golden
from support.hostile_peer import BEHAVIOURS, HostilePeer
from support.ledgers import A, B, inspect, make_ledger

GOLDEN = Path(__file__).parents[1] / "golden"
RULES = 'policy: {rules: [{name: company, match: ["registry.example.com/**"], max_age: 30d}]}\n'
OLD = (datetime.now(UTC) - timedelta(days=60)).isoformat()
YOUNG = (datetime.now(UTC) - timedelta(days=1)).isoformat()


def hexed(number: int) -> str:
    return f"{number:064x}"


def image(number: int, created: str) -> ServedImage:
    name = f"registry.example.com/app{number}"
    return ServedImage(hexed(number), (f"{name}:v1",), (f"{name}@sha256:{hexed(number + 100)}",), created=created)


@pytest.fixture
def server(folder: Path, tmp_path: Path) -> Iterator[CrioServer]:
    images = [image(1, OLD), image(2, OLD), image(3, YOUNG)]
    containers = [ServedContainer("c1", image=images[1].tags[0], image_ref=images[1].digests[0], image_id=hexed(2))]
    with CrioServer(folder / "crio.sock", images=images, containers=containers) as server:
        server.mountpoints = (str(tmp_path),)
        yield server


Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(server: CrioServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command against the server with a configuration; gives status, output and complaints."""

    def run_(*words: str, text: str | None = RULES, endpoint: str | None = None) -> tuple[int, str, str]:
        config = tmp_path / "cleaner.yaml"
        if text is not None:
            config.write_text(f"{text}state: {{path: {tmp_path}/ledger.db}}\n" if "state:" not in text else text)
        environ = {"CONTAINER_RUNTIME_ENDPOINT": endpoint or f"unix://{server.socket}"}
        status = main([*words, "--config", str(config)], environ)
        captured = capsys.readouterr()
        return status, captured.out, captured.err.replace(str(tmp_path), "TMP")

    return run_


@pytest.mark.parametrize("command", ["", "run", "plan", "sweep", "check", "history", "demo"])
def test_help_is_as_it_was(command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """--help of every command equals its golden file."""
    monkeypatch.setenv("COLUMNS", "100")
    with pytest.raises(SystemExit) as ended:
        parser("0").parse_args([*filter(None, [command]), "--help"])
    assert ended.value.code == 0
    assert_golden(GOLDEN / f"help{command and '-'}{command}.txt", capsys.readouterr().out)


def test_no_command_is_bad_usage(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a command the usage goes to standard error, and the status is 2."""
    with pytest.raises(SystemExit) as ended:
        main([], {})
    assert ended.value.code == 2
    assert "usage: cleaner" in capsys.readouterr().err


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """--version prints one line."""
    with pytest.raises(SystemExit) as ended:
        main(["--version"], {})
    assert ended.value.code == 0
    assert re.fullmatch(r"cleaner \d+\.\d+\.\d+\n", capsys.readouterr().out)


@pytest.mark.parametrize("words", [["sweep", "--limit", "0"], ["sweep", "--grace", "1y"], ["plan", "--trigger", "x"]])
def test_bad_usage_is_answered(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """An argument that makes no sense is named, and the status is 2."""
    with pytest.raises(SystemExit) as ended:
        main(words, {})
    assert ended.value.code == 2
    assert words[2] in capsys.readouterr().err


def test_plan_says_what_would_be_evicted_and_touches_nothing(run: Run, server: CrioServer) -> None:
    """A plan lists every image once, reads only, and says where first seen decides."""
    status, out, _ = run("plan", "-o", "json", text=RULES.replace("policy: {", "policy: {grace: 0s, "))
    document = json.loads(out)
    verdicts = {image["id"]: (image["verdict"], image["reason"]) for image in document["images"]}
    assert status == 0
    assert verdicts == {
        hexed(1): ("evict", "expired"),
        hexed(2): ("keep", "in_use"),
        hexed(3): ("keep", "unexpired"),
    }
    assert "RemoveImage" not in {call.method for call in server.calls}


def test_sweep_evicts_nothing_in_mode_observe(run: Run, server: CrioServer) -> None:
    """Mode observe ends a sweep by hand after its plan too, and says so."""
    status, out, _ = run("sweep", "-o", "json", "--grace", "0s", text="mode: observe\n" + RULES)
    document = json.loads(out)
    assert (status, document["dry_run"]) == (0, True)
    assert [eviction["outcome"] for eviction in document["evictions"]] == ["planned"]
    assert document["notices"][0].startswith("The mode is observe")
    assert "RemoveImage" not in {call.method for call in server.calls}


def test_plan_says_that_unknown_pull_times_decide(run: Run) -> None:
    """On CRI-O no pull time is known: what is kept as recent for that is counted in a notice."""
    _, out, _ = run("plan", "-o", "json")
    assert any(
        notice.startswith("2 of the kept images have no known pull time") for notice in json.loads(out)["notices"]
    )


@pytest.mark.parametrize("check", [True, False])
def test_registries_are_asked_where_that_is_configured(
    run: Run, server: CrioServer, check: bool, own_signals: None
) -> None:
    """Plan, check and sweep say that a registry is down and keep its images; by default nobody is asked."""
    registry = f"127.0.0.1:{reserve_port()}"
    name = f"{registry}/app"
    gone = ServedImage(hexed(4), (f"{name}:v1",), (f"{name}@sha256:{hexed(104)}",), created=OLD)
    server.images[gone.id] = gone
    text = RULES.replace("registry.example.com", registry).replace("{rules", "{grace: 0s, rules")
    text += f"registries: {{check: {str(check).lower()}, plain_http: ['{registry}']}}\n"
    plan = json.loads(run("plan", "-o", "json", text=text)[1])
    findings = json.loads(run("check", "-o", "json", text=text)[1])["findings"]
    _, out, err = run("sweep", "--dry-run", "-o", "json", text=text)
    told = [notice for notice in plan["notices"] if registry in notice]
    told += [finding["detail"] for finding in findings if finding["subject"] == "registry"]
    (reason,) = [image["reason"] for image in plan["images"] if image["id"] == gone.id]
    assert reason == ("registry_down" if check else "expired")
    assert [("Connection refused" in line) for line in told] == ([True, True] if check else [])
    assert json.loads(out)["kept"].get("registry_down", 0) == check
    assert ("registry_down" in err) is check


def test_a_file_of_cas_that_is_none_is_status_3(run: Run) -> None:
    """What the configuration names and is not there is told in a line."""
    status, _, err = run("plan", text=f"{RULES}registries: {{check: true, ca_file: /nowhere/ca.pem}}\n")
    assert status == 3
    assert err.startswith("cleaner: registries.ca_file: /nowhere/ca.pem: No such file or directory; write the path of")
    assert len(err.splitlines()) == 1


def test_plan_without_rules_says_what_is_missing(run: Run) -> None:
    """With a file that has no rules a plan evicts nothing, and says that rules are missing."""
    status, out, _ = run("plan", text="mode: full\n")
    assert status == 0
    assert "policy.rules: (absent)" in out


@pytest.mark.parametrize("trigger", ["nightly", "pressure"])
@pytest.mark.parametrize("mode", ["observe", "pressure", "full"])
def test_plan_says_what_the_mode_makes_of_it(run: Run, trigger: str, mode: str) -> None:
    """The table says where the daemon would not act on it."""
    status, out, _ = run("plan", "--trigger", trigger, text=f"mode: {mode}\n{RULES}")
    says = "The mode is" in out
    assert (status, says) == (0, mode == "observe" or (mode == "pressure" and trigger == "nightly"))


def sweep(*words: str) -> tuple[str, ...]:
    return ("sweep", "-o", "json", *words)


def test_a_sweep_evicts_and_reports(run: Run, server: CrioServer, own_signals: None) -> None:
    """A manual sweep removes what is expired, and reports all images."""
    status, out, err = run(*sweep("--grace", "0s"))
    report = json.loads(out)
    assert status == 0
    assert [eviction["id"] for eviction in report["evictions"]] == [hexed(1)]
    assert report["kept"] == {"in_use": 1, "unexpired": 1, "not_reached": 0}
    assert hexed(1) not in server.images
    assert '"event": "eviction"' in err


def test_a_dry_run_evicts_nothing(run: Run, server: CrioServer, own_signals: None) -> None:
    """A dry run lists what would be evicted as `planned`."""
    status, out, _ = run(*sweep("--grace", "0s", "--dry-run"))
    assert (status, [e["outcome"] for e in json.loads(out)["evictions"]]) == (0, ["planned"])
    assert hexed(1) in server.images


def test_a_failed_eviction_is_status_1(run: Run, server: CrioServer, own_signals: None) -> None:
    """An eviction that the runtime rejects makes the status 1, and the report says why."""
    import grpc  # noqa: PLC0415 - only for the code

    server.fail("RemoveImage", grpc.StatusCode.INTERNAL, "disk on fire")
    status, out, _ = run(*sweep("--grace", "0s"))
    (eviction,) = json.loads(out)["evictions"]
    assert (status, eviction["outcome"]) == (1, "failed")
    assert "disk on fire" in eviction["error"]


def test_a_failed_list_is_status_1(run: Run, server: CrioServer, own_signals: None) -> None:
    """A list that the runtime rejects evicts nothing and is reported in a line."""
    import grpc  # noqa: PLC0415 - only for the code

    server.fail("ListContainers", grpc.StatusCode.INTERNAL, "no list today")
    status, out, err = run(*sweep("--grace", "0s"))
    assert (status, out) == (1, "")
    assert err == "cleaner: ListContainers: INTERNAL: no list today\n"


def test_pressure_below_high_is_not_needed(run: Run, server: CrioServer, own_signals: None) -> None:
    """A pressure sweep of a disk below its high watermark does nothing, with status 0."""
    watermarks = "pressure: {bytes: {high: 100, low: 99}, inodes: {high: 100, low: 99}}\n"
    status, out, _ = run(*sweep("--trigger", "pressure"), text=RULES + watermarks)
    assert (status, json.loads(out)["stop_reason"]) == (0, "not_needed")
    assert [call for call in server.calls if call == Call("ListImages", "", {})] == []


@pytest.mark.parametrize("command", ["sweep", "plan", "check", "run"])
def test_every_configuration_error_is_told_at_once(run: Run, command: str, own_signals: None) -> None:
    """All mistakes come in one run, each with path, value and rule; status 2."""
    text = "mode: sometimes\nnightly: {splay: 5h, schedule: daily}\npressure: {bytes: {high: 50, low: 60}}\nrules: []\n"
    status, out, err = run(command, text=text)
    assert (status, out) == (2, "")
    assert err.startswith("cleaner: TMP/cleaner.yaml: ")
    for part in ("mode: ", "nightly.splay: ", "nightly.schedule: ", "pressure.bytes", "rules: (unknown key)"):
        assert sum(line.startswith(f"cleaner: {part}") for line in err.splitlines()) >= 1, err


@pytest.mark.parametrize("command", ["sweep", "run"])
@pytest.mark.parametrize("text", [None, "", "mode: full\n"])
def test_what_may_be_evicted_must_be_said(run: Run, command: str, text: str | None, own_signals: None) -> None:
    """No file, an empty file and a file without rules are status 2 for what evicts."""
    status, _, err = run(command, text=text)
    assert status == 2
    assert "rules" in err or "empty" in err


@pytest.mark.parametrize("command", ["sweep", "plan", "check"])
def test_a_missing_socket_directory_is_status_3(run: Run, command: str, own_signals: None) -> None:
    """A directory that is not there says what to mount."""
    status, out, err = run(command, endpoint="unix:///nowhere/containerd.sock")
    assert status == 3
    assert "there is no directory /nowhere; mount the host's directory there" in out + err


NO_CRI = (
    'nothing there serves containers over CRI v1; if it is containerd, remove "cri" from disabled_plugins in its'
    " config.toml (Docker's package writes that) and restart it, else correct runtime.endpoint"
)
NO_IMAGES = "nothing there serves images over CRI v1; set runtime.image_endpoint to the socket that does"


@pytest.mark.usefixtures("own_signals")
@pytest.mark.parametrize("method", ["Version", "ImageFsInfo"])
@pytest.mark.parametrize(("command", "code"), [("check", "UNIMPLEMENTED"), ("plan", "UNKNOWN"), ("sweep", "UNKNOWN")])
def test_no_cri_is_status_3(run: Run, server: CrioServer, command: str, method: str, code: str) -> None:
    """A socket without CRI is named in one line that says what to do."""
    import grpc  # noqa: PLC0415

    service, advice = ("RuntimeService", NO_CRI) if method == "Version" else ("ImageService", NO_IMAGES)
    service = f"runtime.v1.{service}"
    server.fail(method, grpc.StatusCode[code], f"unknown service {service}")
    status, out, err = run(command)
    expected = f"unix://{server.socket}: {advice} ({method}: {code}: unknown service {service})"
    assert status == 3
    if command == "check":
        assert expected in " ".join(out.split())
    else:
        assert err == f"cleaner: {expected}\n"
    assert server.count(method) == 2


def test_a_starting_runtime_may_lack_cri(run: Run, server: CrioServer) -> None:
    """One such answer alone ends nothing."""
    import grpc  # noqa: PLC0415

    server.fail("Version", grpc.StatusCode.UNIMPLEMENTED, "unknown service runtime.v1.RuntimeService", times=1)
    assert run("plan")[0] == 0


def test_another_protocol_is_status_3(run: Run, folder: Path) -> None:
    """A socket behind which nothing speaks HTTP/2, as docker.sock, is named too."""
    with HostilePeer(folder / "docker.sock", BEHAVIOURS["not HTTP/2"]):
        status, _, err = run("plan", endpoint=f"unix://{folder}/docker.sock")
    assert (status, err.count("\n")) == (3, 1)
    assert err.startswith(f"cleaner: the container runtime does not answer at unix://{folder}/docker.sock: ")
    assert "speaks HTTP/1 as Docker's API does, and no gRPC" in err


def test_a_sweep_that_is_stopped_in_a_read(run: Run, server: CrioServer, own_signals: None) -> None:
    """SIGTERM while a runtime hangs ends a sweep by hand with status 1 and one line."""
    server.hang("ListImages")
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    signal.raise_signal(signal.SIGTERM)
    status, out, err = run("sweep")
    assert (status, out) == (1, "")
    assert err.splitlines()[-1] == "cleaner: ListImages: a stop was requested"


@pytest.mark.parametrize("command", ["sweep", "plan", "check"])
def test_an_unavailable_runtime_is_status_3(run: Run, server: CrioServer, command: str, own_signals: None) -> None:
    """A socket that is not there is reported in a line of our own, with the places of other runtimes' sockets."""
    server.stop()
    status, out, err = run(command)
    assert status == 3
    assert (
        f"the container runtime does not answer at unix://{server.socket}: no such socket (is it running?" in out + err
    )
    assert "set runtime.endpoint)" in out + err
    assert len(err.splitlines()) == (command != "check")


@pytest.mark.parametrize(("path", "says"), [("/nowhere", "no directory here"), ("/proc", "without capacity")])
def test_a_path_that_is_no_filesystem_is_status_3(run: Run, path: str, says: str) -> None:
    """filesystem.path must be a filesystem that holds something."""
    status, _, err = run("plan", text=f"{RULES}filesystem: {{path: {path}}}\n")
    assert status == 3
    assert says in err
    assert len(err.splitlines()) == 1


def test_check_inspects_everything(run: Run) -> None:
    """A check of a good configuration on a good node is status 0 and shows the settings in force."""
    status, out, _ = run("check", "-o", "json")
    document = json.loads(out)
    grades = {finding["subject"]: finding["grade"] for finding in document["findings"]}
    assert status == 0
    assert "error" not in grades.values()
    assert grades["pull times"] == "note"
    assert document["settings"]["pressure"]["bytes"] == {
        "high": 75,
        "low": 65,
        "high_available": None,
        "low_available": None,
    }


@pytest.mark.parametrize(
    ("text", "hints"),
    [
        ("", []),
        (
            "nightly: {schedule: '*/45 * * * *', timezone: EST, duty_cycle: 0.2%}\n",
            [
                "nightly.schedule: minute */45 begins anew in each hour: it comes at 0 and 45",
                "nightly.timezone: EST has no daylight saving; write a place such as America/New_York for that",
                "nightly.duty_cycle: 0.2% is less than one in a hundred; write 20% if that is meant",
            ],
        ),
        ("nightly: {schedule: '*/30 2-4 * * *', timezone: Europe/Paris, duty_cycle: 1%}\n", []),
    ],
)
def test_check_shows_what_may_be_meant_otherwise(run: Run, text: str, hints: list[str]) -> None:
    """Settings that are valid and easily mistaken are notes, and do not change the status."""
    status, out, _ = run("check", "-o", "json", text=RULES + text)
    notes = [each["detail"] for each in json.loads(out)["findings"] if each["subject"] == "configuration"]
    assert (status, notes[1:]) == (0, hints)


def test_check_shows_a_small_regret_limit(run: Run) -> None:
    """A limit below one percent may be a share of 1; nothing at all is what it says."""
    for limit, count in (("0.05%", 1), ("1%", 0), ("0%", 0)):
        text = RULES.replace("policy: {", f"policy: {{regret: {{limit: {limit}}}, ")
        _, out, _ = run("check", "-o", "json", text=text)
        details = [each["detail"] for each in json.loads(out)["findings"]]
        said = "policy.regret.limit: 0.05% is less than one in a hundred; write 5% if that is meant"
        assert details.count(said) == count


def test_check_shows_what_it_found_before_an_error(run: Run, server: CrioServer) -> None:
    """A check that meets an error shows it among the findings, with status 3."""
    server.mountpoints = ("/nowhere",)
    status, out, _ = run("check")
    assert status == 3
    assert "configuration" in out
    assert "no directory here" in out


def test_the_demo_runs_anywhere(capsys: pytest.CaptureFixture[str]) -> None:
    """`cleaner demo` reaches the low watermark on a simulated node, and shows what was evicted, what stayed and why."""
    assert main(["demo"], {"CONTAINER_RUNTIME_ENDPOINT": "tcp://no.socket"}) == 0
    out = capsys.readouterr().out
    for reason in ("expired", "in_use", "protected", "unmatched", "local", "recent", "newest", "sandbox"):
        assert reason in out
    assert 'image_cleaner_sweep_ends_total{reason="low_watermark"}' in out


def alerting(url: str, more: str = "") -> str:
    """The longest timeout that there is: a server that answers is not to be missed."""
    return f"{RULES}alertmanager: {{url: '{url}', timeout: 1m{more}}}\n"


def findings_of(out: str) -> dict[str, tuple[str, str]]:
    return {found["subject"]: (found["grade"], found["detail"]) for found in json.loads(out)["findings"]}


def test_check_asks_the_alertmanager(run: Run) -> None:
    """With an Alertmanager configured the check says whether it answers; one that is unavailable is a note."""
    with AlertmanagerServer() as alertmanager:
        status, out, _ = run("check", "-o", "json", text=alerting(alertmanager.url))
    assert (status, findings_of(out)["alertmanager"]) == (0, ("ok", f"{alertmanager.url}: Alertmanager 0.33.1"))
    status, out, _ = run("check", "-o", "json", text=alerting(alertmanager.url))
    unavailable = f"{alertmanager.url}: cannot be reached (Connection refused)"
    assert (status, findings_of(out)["alertmanager"]) == (0, ("note", unavailable))


def test_check_fails_for_a_secret_that_is_not_there(run: Run) -> None:
    """A file that does not exist will not pass by itself: exit status 3, and what to do."""
    status, out, _ = run(
        "check", "-o", "json", text=alerting("http://alerts.example", ", bearer_token_file: /none/token")
    )
    grade, detail = findings_of(out)["alertmanager"]
    assert (status, grade) == (3, "error")
    assert "alertmanager.bearer_token_file: /none/token cannot be read (No such file or directory); mount it" in detail


def test_the_outlet_is_built_from_the_configuration(tmp_path: Path) -> None:
    """Each address gets the alerts with the node's name, the labels, the credentials and the times of the file."""
    (tmp_path / "password").write_text("pass")
    basic = f", basic: {{username: cleaner, password_file: {tmp_path}/password}}"
    with AlertmanagerServer() as one, AlertmanagerServer() as two:
        text = (
            f"alertmanager: {{url: ['{one.url}', '{two.url}'], labels: {{cluster: eu}}, runtime_down_for: 0s{basic}}}\n"
        )
        (tmp_path / "cleaner.yaml").write_text(text)
        config = load_config(tmp_path / "cleaner.yaml", {}, rules_required=False)
        logger = make_logger("info", "json", io.StringIO(), lambda _level: None)
        (outlet,) = alertmanagers_of(config, {"NODE_NAME": "node-1"}, FakeTimer(), logger)
        outlet.record(RuntimeDown(RuntimeUnavailableError("gone")))
        requests = one.wait_for(1), two.wait_for(1)
        outlet.close()
    for request in requests:
        (alert,) = request.body
        assert request.headers["Authorization"] == "Basic Y2xlYW5lcjpwYXNz"
        assert alert["labels"] == {
            "alertname": "ImageCleanerNodeRuntimeUnreachable", "severity": "warning", "node": "node-1", "cluster": "eu",
        }  # fmt: skip
        assert alert["endsAt"] == "2026-06-15T12:04:05Z"


def test_no_outlet_without_the_section() -> None:
    """Without the section there is no outlet, no thread and no request."""
    logger = make_logger("info", "json", io.StringIO(), lambda _level: None)
    before = set(threading.enumerate())
    assert alertmanagers_of(default_config({}), {}, FakeTimer(), logger) == ()
    assert alertmanager_apis_of(default_config({})) == ()
    assert set(threading.enumerate()) <= before


@pytest.mark.parametrize(("kubelet", "grades"), [("", ["note"]), ("kubelet: {config: null}\n", ["note"])])
def test_check_reads_the_kubelets_file_unless_it_is_switched_off(run: Run, kubelet: str, grades: list[str]) -> None:
    """Where its file is not mounted, or is not to be read, that is a note."""
    missing = f"{RULES}{kubelet or 'kubelet: {config: /nonexistent/config.yaml}'}\n"
    status, out, _ = run("check", "-o", "json", text=missing)
    found = [finding["grade"] for finding in json.loads(out)["findings"] if finding["subject"] == "kubelet"]
    assert (status, found) == (0, grades)


def test_history_shows_what_was_removed_externally(run: Run, tmp_path: Path) -> None:
    """Under the evictions, as a list of its own in JSON; what was only observed has nothing to do with it."""
    timer = FakeTimer(datetime.now(UTC) - timedelta(hours=1))
    ledger = make_ledger(tmp_path, timer)
    inspect(ledger, timer, A, B)
    timer.move(minutes=1)
    inspect(ledger, timer, B)
    ledger.close()
    name = A.references[0].rpartition(":")[0]
    status, out, _ = run("history", "--image", name, "--since", "2h")
    assert status == 0
    assert out.startswith("No eviction of that kind is stored.\n\n1 image was removed externally")
    found = [
        json.loads(run("history", "-o", "json", *words)[1])["removed_externally"] for words in ([], ["--since", "1m"])
    ]
    assert [[image["id"] for image in images] for images in found] == [[A.id], []]
    assert "without this agent" not in run("history", "--observed")[1]
