"""Credentials of a run's own Dask cluster; without them, its messages can be neither read nor sent.

Scheduler, workers and driver share one self-signed certificate. It is made when the cluster starts and removed when it
ends; jobs of a queue find it in the folder of the run, which only its owner can read.
"""

import datetime
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

_ROLES = ("scheduler", "worker", "client")
_CLOCK_SKEW = datetime.timedelta(days=1)  # a node whose clock is behind would refuse a certificate made now
_VALID = datetime.timedelta(days=366)
_PREFIX = "distributed.comm."


def configured_security() -> Any:
    """Return the TLS credentials of Dask's configuration for every role, None if any is missing."""
    from distributed.security import Security

    security: Any = Security(require_encryption=True)
    needed = (security.tls_ca_file, *(getattr(security, f"tls_{role}_cert") for role in _ROLES))
    return security if all(needed) else None


def temporary_security() -> Any:
    """Return credentials that exist only in memory, as distributed.Security."""
    return _of(*_new_certificate())


def written_security(folder: Path) -> tuple[Any, Path]:
    """Return temporary credentials, and a new folder in `folder` that holds them, readable by their owner alone."""
    certificate, key = _new_certificate()
    made = Path(tempfile.mkdtemp(prefix="credentials-", dir=folder))  # mode 700
    for name, text in (("certificate.pem", certificate), ("key.pem", key)):
        _write(made / name, text)
    return security_in(made), made


def security_in(folder: Path) -> Any:
    """Return the credentials in the files of a folder; the files are not read yet."""
    return _of(str(folder / "certificate.pem"), str(folder / "key.pem"))


def remove(folder: Path) -> None:
    """Remove the files of credentials."""
    shutil.rmtree(folder, ignore_errors=True)


def worker_tls_settings(security: Any) -> dict[str, Any]:
    """Return the Dask settings by which a worker on another host finds its credentials."""
    return {
        f"{_PREFIX}require-encryption": True,
        f"{_PREFIX}tls.ca-file": security.tls_ca_file,
        f"{_PREFIX}tls.worker.cert": security.tls_worker_cert,
        **({f"{_PREFIX}tls.worker.key": security.tls_worker_key} if security.tls_worker_key else {}),
    }


def client_tls_settings(security: Any, folder: Path) -> dict[str, Any]:
    """Return the Dask settings by which another process connects to a cluster.

    Parameters
    ----------
    security : distributed.Security
        Of the cluster. Without encryption there are no settings.
    folder : Path
        Gets what exists only in memory, readable by its owner alone.
    """
    if not security.require_encryption:
        return {}
    parts = {
        "ca-file": security.tls_ca_file,
        "client.cert": security.tls_client_cert,
        "client.key": security.tls_client_key,
    }
    made = Path(tempfile.mkdtemp(prefix="credentials-", dir=folder))  # mode 700
    files = {name: _as_file(text, made / f"{name}.pem") for name, text in parts.items() if text}
    return {f"{_PREFIX}require-encryption": True, **{f"{_PREFIX}tls.{name}": file for name, file in files.items()}}


def _as_file(text: str, path: Path) -> str:
    """Return the name of a file of credentials; those in memory are written to `path`."""
    if "\n" not in text:
        return text
    _write(path, text)
    return str(path)


def _write(path: Path, text: str) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)


def _of(certificate: str, key: str) -> Any:
    from distributed.security import Security

    roles = {f"tls_{role}_cert": certificate for role in _ROLES} | {f"tls_{role}_key": key for role in _ROLES}
    return Security(require_encryption=True, tls_ca_file=certificate, **roles)


def _new_certificate() -> tuple[str, str]:
    """Return a self-signed certificate and its private key, as PEM.

    Like distributed.Security.temporary, but valid for nodes whose clock is behind, and with an elliptic curve, which
    takes a hundredth of the time.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "nmcdist")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(now + _VALID)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return certificate.public_bytes(serialization.Encoding.PEM).decode(), private.decode()
