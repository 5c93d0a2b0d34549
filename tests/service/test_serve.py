"""The command: what it refuses, with one line each, before it listens; and how it stops."""

import contextlib
import io
import os
import signal
import socket
import sys

import httpx
import pytest
import yaml

from nmcdist.cli import main
from nmcdist.errors import CatalogError, InputError, StoreError
from nmcdist.service.hosts import check_host_names
from nmcdist.service.pools import Pool, TooManyError
from nmcdist.service.settings import Settings
from nmcdist.service.shelf import open_shelf
from tests.conftest import flip_a_byte
from tests.service.conftest import served
from tests.test_extras import cli_without


def refused(*arguments):
    """The one line with which the command refuses to serve, called in this process, which saves its start."""
    said = io.StringIO()
    with (
        pytest.MonkeyPatch.context() as patch, contextlib.redirect_stderr(said), pytest.raises(SystemExit) as ended,
    ):  # fmt: skip
        patch.setattr(sys, "argv", ["nmcdist", "serve", *map(str, arguments)])
        main()
    assert ended.value.code == 2, said.getvalue()
    (line,) = said.getvalue().splitlines()
    return line


def test_without_its_packages_it_names_the_extra(own_releases):
    done = cli_without("uvicorn,fastapi", "serve", own_releases)
    assert done.returncode == 2
    line = "nmcdist: error: the service needs fastapi and uvicorn: pip install 'nmcdist[serve]'\n"
    assert done.stderr == line


def test_it_needs_a_catalog(tmp_path):
    assert "no such catalog" in refused(tmp_path)
    assert "is a URL" in refused("http://example.org/catalog.yaml")


@pytest.mark.parametrize(
    ("url", "complaint"),
    [("http://169.254.169.254/latest", "is a URL"), ("s3://bucket/store", "is a URL"), ("/etc", "below the catalog's"),
     ("{CATALOG_DIR}/../outside", "below the catalog's"), ("{CATALOG_DIR}/tiny/1.0.0/link.zarr", "is a link"),
     ("{CATALOG_DIR}/tiny/1.0.0", "is not a release"), ("{CATALOG_DIR}/tiny/1.0.0/bundle", "names 'tiny.zarr'")],
)  # fmt: skip
def test_a_catalog_that_leads_elsewhere_is_refused(own_releases, url, complaint):
    os.chmod(own_releases / "tiny/1.0.0", 0o755)  # noqa: PTH101
    (own_releases / "tiny/1.0.0/link.zarr").symlink_to(own_releases / "tiny/1.0.0/tiny.zarr")
    catalog = own_releases / "catalog.yaml"
    catalog.write_text(catalog.read_text().replace("{CATALOG_DIR}/tiny/1.0.0/tiny.zarr", url))
    assert complaint in refused(catalog)


def test_a_catalog_that_names_a_class_is_refused(own_releases):
    catalog = own_releases / "catalog.yaml"
    catalog.write_text(catalog.read_text().replace("nmcdist.datasets.reader:StoreReader", "os:system"))
    assert "no other class is imported" in refused(own_releases)


def test_a_store_that_is_no_release_is_refused(made_once):
    assert "is not a release; publish it with: nmcdist publish" in refused(made_once)


@pytest.mark.parametrize("file", ["tiny.zarr/manifest.json", "README.md", "release.json"])
def test_a_release_that_was_changed_is_refused(own_releases, file):
    path = own_releases / "tiny/1.0.0" / file
    for changed in (path.parent, path):
        os.chmod(changed, 0o755)  # noqa: PTH101
    flip_a_byte(path)
    assert str(path) in refused(own_releases)


@pytest.mark.parametrize("mark", ["release_sha256", "manifest_sha256"])
def test_a_release_that_the_catalog_does_not_record_is_refused(own_releases, mark):
    catalog = own_releases / "catalog.yaml"
    content = yaml.safe_load(catalog.read_text())
    content["entries"]["tiny-1.0.0"]["metadata"][mark] = "0" * 64
    catalog.write_text(yaml.safe_dump(content))
    with pytest.raises(StoreError, match=rf"tiny/1\.0\.0: .* has the SHA-256 .*, expected {'0' * 64}, as the catalog"):
        open_shelf(own_releases, Settings())


@pytest.mark.parametrize("mark", ["release_sha256", "manifest_sha256"])
def test_an_entry_whose_checksum_was_taken_out_is_refused(own_releases, mark):
    catalog = own_releases / "catalog.yaml"
    content = yaml.safe_load(catalog.read_text())
    del content["entries"]["tiny-1.0.0"]["metadata"][mark]
    catalog.write_text(yaml.safe_dump(content))
    with pytest.raises(CatalogError, match=rf"tiny/1\.0\.0: its entry in the catalog has no {mark}; `nmcdist publish`"):
        open_shelf(own_releases, Settings())


def test_it_needs_a_free_port_and_a_sensible_cache(own_releases):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        line = refused(own_releases, "--port", port)
        assert line == f"nmcdist: error: port {port}: in use by another program"
    elsewhere = refused(own_releases, "--host", "192.0.2.1")
    assert elsewhere.endswith("cannot listen there (Cannot assign requested address)")
    assert "--cache-limit" in refused(own_releases, "--cache-limit", "lots")
    assert "--port" in refused(own_releases, "--port", 70_000)


@pytest.mark.parametrize("host", ["", "*", " ", "0", "0x0", "0.0", "http://x.org", "x.org:80", "\u00e4.org", "a" * 300])
def test_an_impossible_host_is_refused_and_never_listens_everywhere(host):
    with pytest.raises(InputError, match="--host: found"):
        check_host_names(host, ())
    with pytest.raises(InputError, match="--allow-host: found"):
        check_host_names("127.0.0.1", ("x.org", host))


def test_hosts_that_can_match_are_accepted(own_releases):
    check_host_names("::1", ("data.example.org", "node01", "[::1]", "10.0.0.1"))
    assert "--host: found ''" in refused(own_releases, "--host", "")


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_when_it_is_told(own_releases, tmp_path, how):
    with served(own_releases, tmp_path / "log") as service:
        assert httpx.get(f"{service.url}/readyz").status_code in (200, 503)
        service.process.send_signal(how)
        code = service.process.wait(20)
        assert code == (-signal.SIGTERM if how == signal.SIGTERM else 130)
        assert "Traceback" not in service.log.read_text()


def test_an_empty_catalog_is_served(own_releases, tmp_path):
    catalog = tmp_path / "catalog.yaml"
    catalog.write_text("version: 2\naliases: {}\ndata: {}\nentries: {}\n")
    with served(catalog, tmp_path / "log") as service:
        assert "No datasets" in httpx.get(service.url).text
        assert httpx.get(f"{service.url}/openapi.json").status_code == 200


def test_a_pool_refuses_what_would_wait_too_long():
    import asyncio
    import threading

    go = threading.Event()

    async def ask():
        pool = Pool("test", threads=1, waiting=1)
        first, second = (asyncio.create_task(pool.run(go.wait)) for _ in range(2))
        await asyncio.sleep(0.1)
        with pytest.raises(TooManyError):
            await pool.run(go.wait)
        second.cancel()  # its client is gone: its place is free
        await asyncio.sleep(0.1)
        third = asyncio.create_task(pool.run(go.wait))
        await asyncio.sleep(0.1)
        go.set()
        assert await first and await third
        pool.close()

    asyncio.run(ask())
