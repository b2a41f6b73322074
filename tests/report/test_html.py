"""The page as a document: complete, self-contained, and safe whatever the names."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smidgen.report.html import page, write_html
from smidgen.report.markup import Markup, join, script_json, tag
from tests.report.hostile import EVERYTHING, hostile
from tests.report.reports import POINTS, watch

VOID = ("meta", "link")


class Reader(HTMLParser):
    """Collects visible text, elements and attributes; fails on elements that do not nest."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("script", "style"):
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(self.texts)


@pytest.fixture(scope="module")
def read() -> Reader:
    return Reader(page(watch()))


def test_the_page_is_well_formed(read):
    assert read.open == []
    assert [tag for tag, _ in read.found].count("h1") == 1


def test_the_page_refers_to_nothing_outside(read):
    links = [attrs.get(key) for _, attrs in read.found for key in ("src", "href") if key in attrs]
    assert links == ["data:,"]


def test_the_page_forbids_the_network_to_itself(read):
    policies = [a["content"] for _, a in read.found if a.get("http-equiv") == "Content-Security-Policy"]
    assert len(policies) == 1
    assert policies[0].startswith("default-src 'none'")
    assert "http" not in policies[0]


@pytest.mark.parametrize(
    "part",
    [
        "9.46× smaller flash at −0.4 ± 0.6 points of accuracy (test split).",
        "Accuracy against flash",
        "Accuracy against RAM",
        "Accuracy against latency",
        "width-0.25: quantize.affine",
        "sparse(affine4)",
        "smidgen compress watch --target cortex-m4",
        "Layer attention runs in float: no integer rule",
        "no channel left in conv2",
        "0123456789abcdef",
        "Small data set: ten people.",
    ],
)
def test_the_page_shows(read, part):
    assert part in read.text


def test_every_measurement_says_how_it_was_obtained(read):
    rows = read.text.split("Candidates and baselines")[1].split("Layers of the chosen")[0]
    networks = len(POINTS) + 1
    assert rows.count("emulated") == networks
    assert rows.count("modelled") == networks
    tested = sum(p.test is not None for p in POINTS) + 1
    assert rows.count("measured") == 2 * networks + tested  # validation and flash, test where opened


def test_hostile_names_are_shown_and_never_markup():
    plain, evil = Reader(page(watch())), Reader(page(hostile()))
    assert evil.open == []
    assert {tag for tag, _ in evil.found} == {tag for tag, _ in plain.found}
    assert not [attrs for _, attrs in evil.found if any(name.startswith("on") for name in attrs)]
    scripts = [tag for tag, _ in evil.found].count("script")
    assert scripts == [tag for tag, _ in plain.found].count("script")
    assert EVERYTHING in evil.text


def test_a_report_without_points_has_no_charts():
    text = page(watch().model_copy(update={"points": (), "layers": (), "notes": (), "dropped": ()}))
    read = Reader(text)
    assert "No compressed candidate could be built" in read.text
    assert "Frontier" not in read.text
    assert len(text) < 50_000


def test_the_file_is_written_whole(tmp_path):
    write_html(watch(), tmp_path / "report.html")
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]
    assert (tmp_path / "report.html").read_text(encoding="utf-8").endswith("</html>")


@given(st.text())
def test_text_survives_escaping(text):
    reader = Reader(tag("p", text, title=text))
    assert "".join(reader.texts) == text.replace("\r\n", "\n").replace("\r", "\n") or "\r" in text
    assert reader.found == [("p", {"title": text})]


@given(st.recursive(st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_data_in_scripts_can_not_end_the_script(data):
    import json

    text = script_json(data)
    assert not set("<>&") & set(text)
    assert json.loads(text) == data


def test_markup_is_not_escaped_twice():
    assert tag("p", Markup("<b>x</b>"), None, "&", class_=None) == "<p><b>x</b>&amp;</p>"
    assert join("a", None, Markup("<i></i>")) == "a<i></i>"


def test_tiles_columns_and_sentences_say_that_features_are_excluded() -> None:
    plain, told = (Reader(page(r)) for r in (watch(), watch().model_copy(update={"features": "10 MFCCs"})))
    assert not any("excluded" in text for text in plain.texts)
    assert told.texts.count("features excluded") == 3
    assert {"Flash, features excluded", "RAM, features excluded", "Latency, features excluded"} <= set(
        told.texts
    )
