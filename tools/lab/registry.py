"""A local registry (Debian's docker-registry) with its storage off the loop disk.

It listens on 127.0.0.1 only and accepts no uploads: images are laid into its storage, which takes a millisecond.
"""

import http.client
import json
from pathlib import Path

from lab.images import BuiltImage
from lab.ports import reserve_port
from lab.process import Process
from lab.shell import system_environment
from lab.waiting import wait_until


class Registry:
    """One registry process and the storage that it serves."""

    def __init__(self, program: Path, folder: Path) -> None:
        """Prepare a registry in a folder; start() runs it."""
        self._storage = folder / "storage"
        self._config = folder / "registry.yml"
        self.port = reserve_port()
        folder.mkdir()
        self._config.write_text(_config_text(self._storage, self.port), encoding="utf-8")
        command = [str(program), "serve", str(self._config)]
        # Variables that begin with REGISTRY_ would override the configuration.
        environment = {name: value for name, value in system_environment().items() if not name.startswith("REGISTRY_")}
        self._process = Process("registry", command, environment, folder / "registry.log")

    @property
    def address(self) -> str:
        """Return host and port, as they stand in a reference."""
        return f"127.0.0.1:{self.port}"

    @property
    def blobs(self) -> Path:
        """Return the folder that an image builder writes its blobs to."""
        return self._storage / "docker/registry/v2/blobs"

    def start(self) -> None:
        """Serve the storage; the port stays the same over restarts."""
        self._process.start()
        wait_until(self._answers, "the registry answers")

    def stop(self) -> None:
        """Stop serving: every pull fails until start()."""
        self._process.kill()

    def publish(self, image: BuiltImage) -> None:
        """Make a built image pullable by tag and by digest; a tag that exists moves.

        Source: the paths in distribution's registry/storage/paths.go, which are the registry's format on disk.
        """
        repository = self._storage / "docker/registry/v2/repositories" / image.spec.repository
        for digest in (image.image_id, *(layer.digest for layer in image.layers)):
            _link(repository / "_layers", digest)
        _link(repository / "_manifests/revisions", image.manifest_digest)
        tag = repository / "_manifests/tags" / image.spec.tag
        _link(tag / "index", image.manifest_digest)
        (tag / "current").mkdir(exist_ok=True)
        (tag / "current/link").write_text(image.manifest_digest, encoding="utf-8")

    def _answers(self) -> bool:
        self._process.raise_if_dead()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10.0)
        try:
            connection.request("GET", "/v2/")
            return connection.getresponse().status == http.client.OK
        except OSError:
            return False
        finally:
            connection.close()


def _link(folder: Path, digest: str) -> None:
    target = folder / "sha256" / digest.removeprefix("sha256:")
    target.mkdir(parents=True, exist_ok=True)
    (target / "link").write_text(digest, encoding="utf-8")


def _config_text(storage: Path, port: int) -> str:
    # JSON is YAML: no writer of YAML is needed. Nothing is cached, since the storage changes beneath the process.
    document = {
        "version": "0.1",
        "log": {"level": "warn", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(storage)}, "delete": {"enabled": True}},
        "http": {"addr": f"127.0.0.1:{port}", "secret": "lab"},
    }
    return json.dumps(document)
