"""The page of jobs in a browser: a recipe is planned, submitted, watched, cancelled, and survives a restart."""

import json
import re
from pathlib import Path

import pytest
import yaml

from tests.service.browser import opened_browser, opened_page, skip_without_browser
from tests.service.test_jobs import KILLED, LONG, queue_at
from tests.service.test_page import PICTURES

skip_without_browser()


@pytest.fixture(scope="module")
def browser():
    with opened_browser() as browser:
        yield browser


def sign_in(page, folder):
    page.goto("/jobs")
    page.get_by_label("Token").fill((folder / "token").read_text())
    page.get_by_role("button", name="Use").click()
    page.get_by_role("heading", name="New job").wait_for()


def write(page, recipe):
    page.get_by_label("Recipe (YAML)").fill(yaml.safe_dump(recipe, sort_keys=False))


def submit(page):
    page.get_by_role("button", name="Submit").click()
    page.get_by_text("is queued.").wait_for()


def test_a_recipe_is_planned_watched_cancelled_and_survives_a_restart(browser, tmp_path):
    with queue_at(tmp_path) as (service, _), opened_page(browser, service.url, refusals=1) as page:
        page.goto("/")
        page.get_by_role("link", name="jobs").click()
        page.get_by_label("Token").fill("wrong")
        page.get_by_role("button", name="Use").click()
        page.get_by_text("The service does not know this token.").wait_for()
        assert page.get_by_role("heading", name="New job").is_hidden()
        sign_in(page, tmp_path)

        write(page, LONG)
        assert page.get_by_label("Name").input_value() == "long"
        page.get_by_label("Name").fill("longer")
        page.get_by_label("Items").fill("301")
        sent = yaml.safe_load(page.get_by_label("Recipe (YAML)").input_value())
        assert sent == {**LONG, "name": "longer", "realisations": 301}
        page.get_by_role("button", name="Plan").click()
        page.get_by_text("Plan of longer").wait_for()
        page.locator("#answer").get_by_text("602 = 2 values of graphite_fraction x 301 realisations").wait_for()
        assert page.locator("#jobs li").count() == 0

        submit(page)
        card = page.locator("#jobs li", has_text="longer")
        card.get_by_text(re.compile("[1-9][0-9]* of 602 tasks")).wait_for()
        if PICTURES:
            page.screenshot(path=Path(PICTURES) / "page-jobs.png", full_page=True)
        card.get_by_role("button", name="Cancel longer").click()
        page.locator("#jobs li[data-state=cancelled]").wait_for()
        assert card.get_by_role("button").count() == 0 or card.get_by_role("button").is_hidden()

        write(page, KILLED)
        submit(page)
        page.locator("#jobs li", has_text="killed").get_by_text(re.compile("[1-9][0-9]* of 32 tasks")).wait_for()
        assert page.evaluate("[localStorage.length, document.cookie]") == [0, ""]

    with queue_at(tmp_path) as (service, _), opened_page(browser, service.url) as page:
        page.route(re.compile("/events$"), lambda route: route.fulfill(status=204))  # no stream: the page asks instead
        sign_in(page, tmp_path)
        page.locator("#jobs li[data-state=done]").get_by_role("link", name="Look at the dataset").click()
        page.get_by_text("the result of a job, not published").wait_for()
        page.locator(".histogram").first.wait_for()
        page.get_by_role("link", name="All datasets").click()
        page.locator(".cards li", has_text="killed").get_by_text("result of a job", exact=True).wait_for()
        token = (tmp_path / "token").read_text()
        logs = "".join(path.read_text() for path in tmp_path.glob("log-*") if path.is_file())
        assert token not in logs
        assert page.evaluate("location.href").count(token) == 0


def test_a_recipe_that_is_refused_says_why(browser, tmp_path):
    with queue_at(tmp_path) as (service, _), opened_page(browser, service.url, refusals=3) as page:
        sign_in(page, tmp_path)
        for recipe, complaint in (
            ("name: [", "recipe"),
            ("name: x\nname: y\n", "name"),
            (json.dumps({**KILLED, "bundle": "../elsewhere"}), "bundle"),
        ):
            page.get_by_label("Recipe (YAML)").fill(recipe)
            page.get_by_role("button", name="Submit").click()
            page.locator("#answer .problem", has_text=complaint).wait_for()
        assert page.locator("#jobs li").count() == 0
        assert page.get_by_label("Seed").input_value() in ("", "2025")


def test_a_service_that_comes_back_is_not_called_away_any_longer(browser, tmp_path):
    one_job = re.compile("/api/jobs/(?!templates)[^/?]+$")
    with queue_at(tmp_path) as (service, client), browser.new_context(base_url=service.url) as context:
        client.post("/api/jobs", json=LONG)
        page = context.new_page()
        page.route(re.compile("/events$"), lambda route: route.fulfill(status=204))  # no stream: the page asks instead
        sign_in(page, tmp_path)
        page.locator("#jobs li").wait_for()
        page.route(one_job, lambda route: route.abort())
        page.get_by_text("The service cannot be reached.").wait_for()
        page.unroute(one_job)
        page.get_by_text("The service cannot be reached.").wait_for(state="detached", timeout=20_000)


def test_another_token_starts_the_list_again(browser, tmp_path):
    with queue_at(tmp_path, "--jobs-waiting", "100") as (service, client):
        submitted = {client.post("/api/jobs", json=LONG).json()["id"] for _ in range(22)}
        with opened_page(browser, service.url, refusals=1) as page:
            page.goto("/jobs")
            page.get_by_label("Token").fill("\u0448")  # no header holds it
            page.get_by_role("button", name="Use").click()
            page.get_by_text("The service does not know this token.").wait_for()
            page.get_by_label("Token").fill("wrong")
            with page.expect_response(re.compile("templates")):
                page.get_by_role("button", name="Use").click()
            sign_in_again(page, tmp_path)
            sign_in_again(page, tmp_path)
            page.get_by_role("button", name="More jobs").click()
            page.locator("#jobs li").nth(21).wait_for()
            page.wait_for_timeout(500)  # longer than another answer takes
            shown = page.locator("#jobs li").evaluate_all("cards => cards.map(card => card.dataset.job)")
            assert len(shown) == 22
            assert set(shown) == submitted


def sign_in_again(page, folder):
    page.get_by_label("Token").fill((folder / "token").read_text())
    with page.expect_response(re.compile("limit=20")):
        page.get_by_role("button", name="Use").click()
    page.locator("#jobs li").nth(19).wait_for()
