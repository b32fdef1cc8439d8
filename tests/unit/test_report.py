"""The report is one file that says everything, needs nothing, and takes nothing it is given for code."""

from __future__ import annotations

import base64
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from supernode.report import drawn, report_html, write_report
from tests.support_comparison import HOSTILE, IRONWOOD, MOE, SCALEX, comparison, hostile

SECTIONS = (
    "answer",
    "machines",
    "results",
    "decides",
    "matched",
    "day-asked",
    "economics",
    "collectives",
    "assumptions",
    "sources",
    "provenance",
    "reading",
)
VOID = {"meta", "link", "img", "br", "input", "hr"}


class Page(HTMLParser):
    """Elements, ids, links and text of a page; notes elements that are not closed in order."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.ids, self.links, self.images, self.words, self.wrong, self._open = (
            [],
            [],
            [],
            [],
            [],
            [],
            [],
        )
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.elements.append((tag, found))
        if "id" in found:
            self.ids.append(found["id"])
        if tag == "a":
            self.links.append(found["href"])
        if tag == "img":
            self.images.append(found)
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag):
        if not self._open or self._open.pop() != tag:
            self.wrong.append(tag)

    def handle_data(self, data):
        if self._open and self._open[-1] != "style":
            self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module")
def answer():
    return comparison()


@pytest.fixture(scope="module")
def charts(answer):
    return drawn(answer)


@pytest.fixture(scope="module")
def html(answer, charts):
    return report_html(answer, charts)


@pytest.fixture(scope="module")
def page(html):
    return Page(html)


def test_every_section_is_there_and_in_the_contents(page):
    assert set(SECTIONS) <= set(page.ids)
    assert {f"#{section}" for section in SECTIONS} <= set(page.links)


def test_elements_are_closed_in_order_and_ids_are_unique(page):
    assert not page.wrong
    assert len(page.ids) == len(set(page.ids))


def test_links_inside_the_page_lead_somewhere(page):
    assert {link[1:] for link in page.links if link.startswith("#")} <= set(page.ids)


def test_page_needs_no_network_and_runs_no_script(page, html):
    assert not [tag for tag, _ in page.elements if tag in {"script", "iframe", "object", "embed", "form"}]
    assert not [found for _, found in page.elements if any(name.startswith("on") for name in found)]
    assert all(image["src"].startswith("data:image/svg+xml;base64,") for image in page.images)
    outside = [
        found for tag, found in page.elements if tag != "a" for name in ("src", "href") if "//" in found.get(name, "")
    ]
    assert not outside
    assert "@import" not in html
    assert "url(" not in html


def test_every_chart_is_in_the_page_and_described(page, charts):
    held = [base64.b64decode(image["src"].partition("base64,")[2]) for image in page.images]
    assert sorted(held) == sorted(charts.values())
    assert all(image["alt"] for image in page.images)


def test_answer_is_in_words_with_the_share_of_draws(page, answer):
    for pair in answer.case.pairs:
        assert pair.verdict[1:] in page.text


def test_matched_case_stands_beside_the_answer(page):
    assert "With equal chips: ironwood-9216 ahead in 94 % of draws, very likely, 2.28 (1.49–3.54)." in page.text


def test_values_stand_with_their_ranges(page):
    assert "170 k tokens/s 93.7–278" in page.text


def test_undisclosed_machine_has_its_reading_in_every_section_with_its_results(html):
    reading = "400 GB/s per card is the sum of both directions"
    for section in ("answer", "machines", "results", "matched", "day-asked", "economics", "collectives"):
        body = html.partition(f'<section id="{section}">')[2].partition('<section id="')[0]
        assert reading in body, section


def test_workload_that_does_not_fit_says_why(page):
    assert f"{MOE} on {SCALEX}" in page.text
    assert "infeasible: needs 148 GB per chip, of which optimizer 92 GB" in page.text


def test_every_figure_stands_with_kind_and_source_and_assumed_ones_are_marked(page, html, answer):
    assert html.count('class="assumed-row"') == sum(figure.kind == "assumed" for figure in answer.figures)
    for figure in answer.figures:
        assert figure.key in page.text
        assert figure.note in page.text
    assert "0.072 USD/kWh" in page.text
    assert "2.31 PFLOP/s" in page.text


def test_every_source_is_linked(page, answer):
    for source in answer.sources_list:
        assert source.url in page.links
        assert source.title in page.text


def test_provenance_is_told(page, answer):
    for key, value in answer.provenance.items():
        assert f"{key} {value}" in page.text


def test_names_are_shown_as_they_stand_and_never_run():
    html = report_html(hostile(), {HOSTILE: b"<svg/>"})
    page = Page(html)
    assert not page.wrong
    assert not [tag for tag, _ in page.elements if tag == "script"]
    assert f"{IRONWOOD}{HOSTILE}" in page.text
    assert not [link for link in page.links if not link.startswith(("#", "https://"))]
    assert "javascript:alert(1)" in page.text


def test_same_answer_gives_the_same_page(answer, html):
    assert report_html(comparison(), drawn(comparison())) == html


def test_written_page_takes_the_charts_that_were_written(answer, charts, html, tmp_path):
    for name, content in charts.items():
        (tmp_path / f"{name}.svg").write_bytes(content)
    plots = [tmp_path / f"{name}.{ending}" for name in charts for ending in ("png", "svg")]
    write_report(answer, tmp_path / "report.html", plots=plots)
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == html


def test_page_of_a_single_case_leaves_the_matched_section_out(answer):
    page = Page(report_html(replace(answer, matched=None), {}))
    assert "matched" not in page.ids
    assert {link[1:] for link in page.links if link.startswith("#")} <= set(page.ids)
    assert "With equal chips" not in page.text
