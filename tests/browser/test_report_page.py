"""The report in a real browser that cannot reach any network."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from supernode.report import write_report
from tests.support_comparison import HOSTILE, SCALEX, comparison, hostile

PATIENCE_S = 120


@pytest.fixture(scope="module")
def browser():
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not found:
        pytest.skip("no chromium on the path to open the report with")
    return found


@pytest.fixture(scope="module")
def opened(browser, tmp_path_factory):
    """Open a page; returns its elements after loading, and what the browser logged about it."""

    def open_(answer, name):
        folder = tmp_path_factory.mktemp(name)
        write_report(answer, folder / "report.html")
        done = subprocess.run(
            [
                browser,
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                "--no-first-run",
                "--host-resolver-rules=MAP * ~NOTFOUND",
                f"--user-data-dir={folder / 'profile'}",
                "--enable-logging=stderr",
                "--v=0",
                "--dump-dom",
                (folder / "report.html").as_uri(),
            ],
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]

    return open_


@pytest.fixture(scope="module")
def plain(opened):
    return opened(comparison(), "plain")


def test_page_opens_with_every_section_and_without_complaints(plain):
    dom, complaints = plain
    assert not complaints
    assert len(re.findall(r'<section id="', dom)) == 12
    assert "values rest on the reading" in dom
    assert SCALEX in dom


def test_hostile_names_stay_text_in_the_browser(opened):
    dom, complaints = opened(hostile(), "hostile")
    assert not complaints
    assert "<script" not in dom
    assert HOSTILE.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;") in dom
