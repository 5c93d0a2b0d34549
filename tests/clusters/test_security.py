"""Who has no credentials cannot reach a run's own cluster: played as an attack on real clusters."""

import asyncio
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import dask
import psutil
import pytest
from distributed import Client, Security
from distributed.comm import connect

from nmcdist.clusters import credentials
from nmcdist.clusters.cluster import cluster_named
from nmcdist.clusters.connect import connected
from nmcdist.clusters.deployment import Deployment
from tests.clusters.test_scripts import KINDS, both

LOCAL = Deployment(workers=1, threads_per_worker=1, memory_per_worker="512MiB")
LOOPBACK = {"127.0.0.1", "::1"}


def listening(process):
    """Return the addresses on which a process and its children listen, by address and port."""
    family = [process, *process.children(recursive=True)]
    found = [c.laddr for p in family for c in p.net_connections("tcp") if c.status == psutil.CONN_LISTEN]
    return {(address.ip, address.port) for address in found}


def answer_to_a_stranger(address, **tls):
    """Return what a Dask process says to who asks, None if it does not."""

    async def ask():
        comm = await connect(address, timeout=3, **Security(**tls).get_connection_args("client"))
        try:
            await comm.write({"op": "identity", "reply": True})
            return await asyncio.wait_for(comm.read(), 3)
        finally:
            comm.abort()

    try:
        return asyncio.run(ask())
    except (OSError, TimeoutError):
        return None


def files_of(security):
    """Return the keywords of other credentials of the same kind."""
    return {name: getattr(security, name) for name in ("tls_ca_file", "tls_client_cert", "tls_client_key")}


def assert_strangers_are_refused(client, planted):
    """Try to run code through the scheduler and every worker: without TLS, and with credentials of one's own."""
    workers = client.scheduler_info(n_workers=-1)["workers"]
    addresses = [client.scheduler.address, *workers, *(found["nanny"] for found in workers.values())]
    other = files_of(Security.temporary())
    for address in addresses:
        assert address.startswith("tls://")
        assert answer_to_a_stranger(address.replace("tls://", "tcp://")) is None
        assert answer_to_a_stranger(address, **other) is None
    for address, keys in ((addresses[0].replace("tls://", "tcp://"), None), (addresses[0], Security(**other))):
        with pytest.raises(OSError), Client(address, security=keys, timeout=3, set_as_default=False) as stranger:
            stranger.run_on_scheduler(os.mkdir, str(planted))
    assert not planted.exists()


def test_strangers_reach_nothing_of_a_local_cluster(tmp_path):
    with connected(*both(LOCAL)) as client:
        assert {ip for ip, _ in listening(psutil.Process())} <= LOOPBACK
        assert_strangers_are_refused(client, tmp_path / "planted")
        assert client.submit(abs, -7).result(timeout=30) == 7
        assert client.dashboard_link.startswith("http://127.0.0.1:")


def test_who_has_the_credentials_is_let_in():
    """The same questions as the attack's: without this, a broken client would pass for a closed door."""
    with connected(*both(LOCAL)) as client:
        own = files_of(client.security)
        assert answer_to_a_stranger(client.scheduler.address, **own)["type"] == "Scheduler"


def test_another_process_gets_the_credentials_in_files_of_its_owner(tmp_path):
    made = credentials.temporary_security()
    settings = credentials.client_tls_settings(made, tmp_path)
    assert settings.pop("distributed.comm.require-encryption") is True
    ends = {"ca-file": made.tls_ca_file, "client.cert": made.tls_client_cert, "client.key": made.tls_client_key}
    assert {name.removeprefix("distributed.comm.tls.") for name in settings} == set(ends)
    for name, text in ends.items():
        path = Path(settings[f"distributed.comm.tls.{name}"])
        assert path.read_text() == text
        assert (stat.S_IMODE(path.stat().st_mode), stat.S_IMODE(path.parent.stat().st_mode)) == (0o600, 0o700)
    written, _ = credentials.written_security(tmp_path)
    named = credentials.client_tls_settings(written, tmp_path)
    assert named["distributed.comm.tls.client.key"] == written.tls_client_key  # a file already
    assert credentials.client_tls_settings(Security(require_encryption=False), tmp_path) == {}


def test_another_user_on_this_machine_reaches_nothing(tmp_path):
    """The attack itself, by another user where this one may become one."""
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("needs root and setpriv, to become another user")
    with connected(*both(LOCAL)) as client:
        address = client.scheduler.address.replace("tls://", "tcp://")
        code = (
            "import os, sys\nfrom distributed import Client\nprint('tries', flush=True)\n"
            "Client(sys.argv[1], timeout=3).run_on_scheduler(os.mkdir, sys.argv[2])\nprint('is in')"
        )
        become = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
        done = subprocess.run(
            [*become, sys.executable, "-c", code, address, str(tmp_path / "planted")],
            capture_output=True, text=True, timeout=120, check=False, cwd="/", env={"PATH": os.environ["PATH"]},
        )  # fmt: skip
        assert done.stdout == "tries\n"
        assert done.returncode != 0
        scratch = Path(client.run(lambda dask_worker: dask_worker.local_directory).popitem()[1])
        assert any(stat.S_IMODE(folder.stat().st_mode) == 0o700 for folder in scratch.parents)
    assert not (tmp_path / "planted").exists()
    assert not scratch.exists()


def test_without_a_dashboard_the_scheduler_shows_nothing():
    import urllib.error
    import urllib.request

    with connected(*both(LOCAL.model_copy(update={"dashboard": False}))) as client:
        port = client.scheduler_info()["services"]["dashboard"]
        for page in ("info/main/workers.html", "json/index.html", "metrics", "health"):
            with pytest.raises(urllib.error.HTTPError, match="404"):
                urllib.request.urlopen(f"http://127.0.0.1:{port}/{page}", timeout=5)


def test_the_dashboard_is_opened_by_the_deployment_alone():
    with connected(*both(LOCAL.model_copy(update={"dashboard_host": "0.0.0.0"}))) as client:
        port = client.scheduler_info()["services"]["dashboard"]
        assert {ip for ip, p in listening(psutil.Process()) if p == port} == {"0.0.0.0"}
        assert {ip for ip, p in listening(psutil.Process()) if p != port} <= LOOPBACK


def test_credentials_are_their_owners_alone_and_differ_each_time(tmp_path):
    old = os.umask(0)
    try:
        made = [credentials.written_security(tmp_path) for _ in range(2)]
    finally:
        os.umask(old)
    keys = set()
    for security, folder in made:
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        files = sorted(folder.iterdir())
        assert [file.name for file in files] == ["certificate.pem", "key.pem"]
        assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
        assert security.require_encryption
        keys.add(Path(security.tls_worker_key).read_text())
        credentials.remove(folder)
    assert len(keys) == 2
    assert list(tmp_path.iterdir()) == []


def test_a_node_whose_clock_is_behind_takes_the_certificate():
    import datetime

    from cryptography import x509

    certificate = x509.load_pem_x509_certificate(credentials.temporary_security().tls_ca_file.encode())
    now = datetime.datetime.now(datetime.UTC)
    assert certificate.not_valid_before_utc < now - datetime.timedelta(hours=12)
    assert certificate.not_valid_after_utc > now + datetime.timedelta(days=300)


def test_a_job_finds_its_credentials_by_the_environment_also_under_a_path_with_a_blank(tmp_path):
    folder = tmp_path / "my data"
    folder.mkdir()
    security, made = credentials.written_security(folder)
    slurm = both(Deployment(kind="slurm", **KINDS["slurm"]))
    (*_, exports) = cluster_named("slurm").job_options(*slurm, security)["job_script_prologue"]
    script = f"{exports}\nexec {sys.executable} -c 'from distributed.security import Security as S; s = S(); "
    script += 's.get_connection_args("worker"); print(s.require_encryption, s.tls_worker_key)\''
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split(maxsplit=1) == ["True", f"{made / 'key.pem'}\n"]


def test_credentials_of_the_users_own_come_first(tmp_path):
    assert credentials.configured_security() is None
    security, _ = credentials.written_security(tmp_path)
    roles = {
        f"distributed.comm.tls.{role}.{what}": getattr(security, f"tls_{role}_{what}")
        for role in ("scheduler", "worker", "client") for what in ("cert", "key")
    }  # fmt: skip
    with dask.config.set({**roles, "distributed.comm.tls.ca-file": security.tls_ca_file}):
        assert credentials.configured_security().tls_worker_key == security.tls_worker_key
    with dask.config.set(roles):
        assert credentials.configured_security() is None
