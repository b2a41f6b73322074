"""The page of a comparison: bars, fixes and layers, offline, and safe whatever layers are called."""

from __future__ import annotations

import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import smidgen
from smidgen.report.comparison import (
    Comparison,
    format_db,
    page,
    ratio_chart,
    sentences,
    write_comparison,
)
from tests import planted
from tests.conftest import require
from tests.report.hostile import EVERYTHING

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


@pytest.fixture(scope="module")
def found() -> Comparison:
    plant = planted.two_bits()
    return smidgen.compare(plant.graph, plant.artifact(), plant.data, samples=64)


def test_ratios_are_written_with_their_unit() -> None:
    assert [format_db(x) for x in (31.44, math.inf, math.nan, -math.inf)] == [
        "31.4 dB",
        "exact",
        "–",
        "no signal",
    ]


def test_the_first_sentence_names_the_layer(found: Comparison) -> None:
    first, *rest = sentences(found)
    assert first.startswith("First layer below 20 dB: second (q.linear)")
    assert any(line.startswith("Accuracy: ") for line in rest)


def test_each_layer_has_a_bar_a_run(found: Comparison) -> None:
    rows = ratio_chart(found)["data"]["values"]
    ends = [row["layer"] for row in rows if row["kind"] == "End to end"]
    assert ends == [layer.title for layer in found.matches.layers]
    alone = {row["layer"] for row in rows if row["kind"] == "Alone"}
    assert alone == set(ends) - {"x"}  # nothing computes the input


def test_names_of_layers_are_text(found: Comparison) -> None:
    first, *rest = found.matches.layers
    named = replace(found.matches, layers=(replace(first, layer=EVERYTHING, value=EVERYTHING), *rest))
    text = page(replace(found, names=(EVERYTHING, "b"), notes=(EVERYTHING,), matches=named))
    assert EVERYTHING not in text
    assert page(found).count("<script") == text.count("<script")


def test_the_page_in_a_browser(found: Comparison, tmp_path: Path) -> None:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    require(chromium, "Chromium")
    from playwright.sync_api import sync_playwright

    write_comparison(found, tmp_path / "page.html")
    complaints: list[str] = []
    requests: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        tab: Any = browser.new_page(viewport={"width": 420, "height": 800})
        tab.on("console", lambda message: complaints.append(message.text))
        tab.on("pageerror", lambda error: complaints.append(str(error)))
        tab.on("request", lambda request: requests.append(request.url))
        tab.goto((tmp_path / "page.html").as_uri())
        tab.wait_for_selector(".chart svg")
        bars = tab.locator('.chart path[aria-roledescription="bar"]').count()
        tab.locator("#fixes th button").nth(2).click()
        order = tab.locator("#fixes tbody td:nth-child(3)").all_inner_texts()
        wide = tab.evaluate("document.documentElement.scrollWidth")
        browser.close()
    assert complaints == []
    assert len(requests) == 1
    assert bars == 2 * len(found.matches.layers) - 1
    assert order == sorted(order, key=lambda text: float(text.split()[0]))
    assert wide <= 420
