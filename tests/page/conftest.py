"""These tests need Chromium, and fail without one."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from bench.report import leaderboards, load_boards
from bench.report.board import Board

RESULTS = Path(__file__).parents[2] / "results" / "embedded"
QUIET = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        pytest.fail("no Chromium on PATH; install the package chromium, or Google Chrome", pytrace=False)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=list(QUIET))
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def boards() -> list[Board]:
    """Those of three data sets, two encoders and all families of methods."""
    return load_boards(RESULTS)


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Callable[[list[Board]], Path]:
    def write(boards: list[Board]) -> Path:
        path = tmp_path_factory.mktemp("page") / "leaderboard.html"
        path.write_text(leaderboards(boards)["leaderboard.html"], encoding="utf-8")
        return path

    return write


@pytest.fixture(scope="session")
def path(written: Callable[[list[Board]], Path], boards: list[Board]) -> Path:
    return written(boards)


@dataclass
class Visit:
    """A page that has been opened, what it asked for, and what it complained of."""

    page: Page
    asked: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)


@pytest.fixture
def visit(browser: Browser) -> Iterator[Callable[..., Visit]]:
    contexts = []

    def open_(path: Path, **context: Any) -> Visit:
        contexts.append(browser.new_context(viewport={"width": 1100, "height": 900}, **context))
        seen = Visit(contexts[-1].new_page())
        seen.page.on("request", lambda request: seen.asked.append(request.url))
        seen.page.on("console", lambda said: seen.complaints.append(said.text))
        seen.page.on("pageerror", lambda error: seen.complaints.append(str(error)))
        seen.page.on("dialog", lambda dialog: (seen.complaints.append(dialog.message), dialog.dismiss()))
        seen.page.goto(path.as_uri())
        return seen

    yield open_
    for context in contexts:
        context.close()
