"""Certificates that live for a test: an authority, and what it signs; made by the openssl command."""

import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path

_CONFIG = """
[req]
distinguished_name = name
prompt = no
[name]
CN = cleaner-test
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign
subjectKeyIdentifier = hash
[leaf]
basicConstraints = critical, CA:FALSE
subjectAltName = IP:127.0.0.1
authorityKeyIdentifier = keyid
"""


@dataclass(frozen=True)
class Authority:
    """A certificate authority in a folder."""

    folder: Path

    @property
    def file(self) -> Path:
        """Its own certificate."""
        return self.folder / "ca.pem"

    def sign(self, name: str) -> tuple[Path, Path]:
        """A certificate for 127.0.0.1, and its key."""
        return self._make(name, "leaf", "-CA", str(self.file), "-CAkey", str(self.folder / "ca.key"))

    def server_context(self, *, asks_clients: bool = False) -> ssl.SSLContext:
        """What a server needs; `asks_clients`: whoever comes needs a certificate of this authority."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.sign("server"))
        if asks_clients:
            context.load_verify_locations(self.file)
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    def _make(self, name: str, extensions: str, *more: str) -> tuple[Path, Path]:
        certificate, key = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        config = self.folder / "openssl.cnf"
        config.write_text(_CONFIG, encoding="utf-8")
        command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc"]
        command += ["-days", "2", "-config", str(config), "-extensions", extensions]
        command += ["-keyout", str(key), "-out", str(certificate), *more]
        subprocess.run(command, check=True, capture_output=True)
        return certificate, key


def make_authority(folder: Path) -> Authority:
    """A new authority that signs what a test needs."""
    folder.mkdir(parents=True, exist_ok=True)
    authority = Authority(folder)
    authority._make("ca", "authority")
    return authority
