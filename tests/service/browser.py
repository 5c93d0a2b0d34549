"""A browser without a network but the service, and an environment without this package."""

import contextlib
import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

CHROMIUM = shutil.which("chromium")
ARGUMENTS = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]  # WebGL without a graphics card
LOUD = ("error", "warning")
PATIENCE_MS = 120_000  # far longer than anything takes, for loaded machines


def skip_without_browser():
    """Skip the tests of a module where there is no browser; fail where there must be one."""
    missing = "chromium is not installed"
    if CHROMIUM:
        try:
            import playwright.sync_api  # noqa: F401
        except ImportError:
            missing = "playwright is not installed"
        else:
            return
    assert not os.environ.get("NMCDIST_REQUIRE_BROWSER"), missing
    pytest.skip(missing, allow_module_level=True)


@contextlib.contextmanager
def opened_browser(*arguments):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=[*ARGUMENTS, *arguments])
        try:
            yield browser
        finally:
            browser.close()


@contextlib.contextmanager
def opened_page(browser, url, refusals=0, **options):
    """A page of the service; it asks nobody else for anything, and reports no error but so many refused requests."""
    context = browser.new_context(base_url=url, viewport={"width": 1280, "height": 900}, **options)
    context.set_default_timeout(PATIENCE_MS)
    faults = []

    def answer(route):
        if route.request.url.startswith(f"{url}/"):
            route.continue_()
        else:
            faults.append(f"asked for {route.request.url}")
            route.abort()

    context.route("**/*", answer)
    page = context.new_page()
    page.on("console", lambda line: faults.append(f"{line.text} {line.location}") if line.type in LOUD else None)
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("dialog", lambda dialog: (faults.append("a dialog"), dialog.dismiss()))
    try:
        yield page
    finally:
        context.close()
    refused = [fault for fault in faults if re.search("status of 4(01|22)", fault)]
    assert [fault for fault in faults if fault not in refused] == []
    assert len(refused) == refusals, refused


def bare_python(folder, *wanted):
    """Make an environment of some packages of this one and of what they need, and nothing else; return its Python."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    python = folder / "bin/python"
    where = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site = Path(subprocess.run([python, "-c", where], capture_output=True, text=True, check=True).stdout.strip())
    seen, queue = set(), list(wanted)
    while queue:
        name = queue.pop()
        if name in seen:
            continue
        seen.add(name)
        with contextlib.suppress(PackageNotFoundError):
            found = distribution(name)
            for requirement in map(Requirement, found.requires or ()):
                if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                    queue.append(requirement.name)
            for top in {file.parts[0] for file in found.files or () if ".." not in file.parts}:
                if top != "__pycache__" and not (site / top).exists():
                    (site / top).symlink_to(found.locate_file(top))
    return python


def run_python(python, code):
    """Run code in an environment, with warnings as errors, and return what it prints."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, cwd="/", env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout
