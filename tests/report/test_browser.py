"""The page in a real browser: charts, tooltips, sorting, no network, phones and dark mode."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from smidgen.report.html import write_html
from tests.conftest import require
from tests.report.hostile import EVERYTHING, hostile
from tests.report.reports import POINTS, watch

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    require(found, "Chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=found, args=FLAGS)
        yield opened
        opened.close()


class Visit:
    """A loaded page, with everything it requested and complained about."""

    def __init__(self, browser: Any, path: Path, **options: Any) -> None:
        self.page = browser.new_page(**options)
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.goto(path.as_uri())
        self.page.wait_for_selector(".chart svg")


@pytest.fixture(scope="module")
def visit(browser, tmp_path_factory) -> Visit:
    path = tmp_path_factory.mktemp("page") / "report.html"
    write_html(watch(), path)
    return Visit(browser, path, viewport={"width": 1280, "height": 900})


def test_the_page_loads_without_a_complaint(visit):
    assert visit.complaints == []


def test_nothing_is_requested_but_the_file_itself(visit):
    assert [url.rsplit("/", 1)[-1] for url in visit.requests] == ["report.html"]


def test_all_points_of_all_charts_are_drawn(visit):
    assert visit.page.locator(".chart svg").count() == 3
    first = visit.page.locator(".chart").first
    assert first.locator('path[aria-roledescription="point"]').count() == len(POINTS) + 2


def test_a_tooltip_names_the_point(visit):
    point = visit.page.locator('.chart path[aria-roledescription="point"]').first
    point.scroll_into_view_if_needed()
    point.hover(force=True)
    tooltip = visit.page.locator("#vg-tooltip-element.visible")
    tooltip.wait_for()
    assert "float32" in tooltip.inner_text()
    assert "138 KB (measured)" in tooltip.inner_text()


def column(visit: Visit, number: int) -> list[str]:
    return visit.page.locator(f"#candidates tbody tr td:nth-child({number})").evaluate_all(
        "cells => cells.map(cell => cell.dataset.key)"
    )


def test_a_click_on_a_heading_sorts_and_a_second_one_reverses(visit):
    flash = visit.page.locator("#candidates th", has_text="Flash")
    flash.click()
    sizes = [float(size) for size in column(visit, 6)]
    assert sizes == sorted(sizes)
    assert flash.get_attribute("aria-sort") == "ascending"
    flash.click()
    assert [float(size) for size in column(visit, 6)] == sizes[::-1]


def test_empty_cells_stay_last_in_both_directions(visit):
    test = visit.page.locator("#candidates th", has_text="Test")
    for _ in range(2):
        test.click()
        keys = column(visit, 4)
        assert keys[-2:] == ["", ""]
        assert "" not in keys[:-2]


def test_text_columns_sort_by_text(visit):
    visit.page.locator("#candidates th", has_text="Kind").click()
    assert column(visit, 2) == sorted(column(visit, 2))


def test_the_recipe_can_be_copied(visit):
    button = visit.page.locator(".copy").first
    button.click()
    visit.page.wait_for_function(
        "['Copied', 'Selected'].includes(document.querySelector('.copy').textContent)"
    )
    assert button.inner_text() in ("Copied", "Selected")


@pytest.mark.parametrize("width", [360, 768])
def test_narrow_screens_do_not_scroll_sideways(browser, tmp_path, width):
    write_html(watch(), tmp_path / "report.html")
    narrow = Visit(browser, tmp_path / "report.html", viewport={"width": width, "height": 800})
    assert narrow.page.evaluate("document.documentElement.scrollWidth") == width
    widths = narrow.page.locator(".chart svg").evaluate_all("all => all.map(one => one.clientWidth)")
    assert max(widths) <= width
    narrow.page.close()


def test_charts_follow_the_colour_scheme(visit):
    def ink() -> str:
        return visit.page.locator(".chart .role-legend-label text").first.get_attribute("fill")

    visit.page.emulate_media(color_scheme="light")
    light = ink()
    visit.page.emulate_media(color_scheme="dark")
    visit.page.wait_for_function(
        "before => document.querySelector('.chart .role-legend-label text')?.getAttribute('fill') !== before",
        arg=light,
    )
    assert ink() != light


def test_hostile_names_run_nothing(browser, tmp_path):
    write_html(hostile(), tmp_path / "report.html")
    evil = Visit(browser, tmp_path / "report.html", viewport={"width": 1280, "height": 900})
    point = evil.page.locator('.chart path[aria-roledescription="point"]').nth(1)
    point.scroll_into_view_if_needed()
    point.hover(force=True)
    evil.page.locator("#vg-tooltip-element.visible").wait_for()
    assert evil.page.locator("#vg-tooltip-element img, #vg-tooltip-element script").count() == 0
    assert evil.page.evaluate("window.hacked") is None
    assert evil.page.locator("#candidates .name").nth(1).inner_text() == EVERYTHING
    assert evil.complaints == []
    evil.page.close()
