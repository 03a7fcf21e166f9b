"""A real headless browser on a page of its own: what it asks for, says and shows."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")
WIDTHS = (1280, 390)


@dataclass
class Seen:
    """What a page did, and what it shows at one width."""

    said: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    overflow: int = 0  # pixels the page is wider than the window
    images: list[tuple[str, int, int]] = field(default_factory=list)  # alt, natural and shown width
    tables: list[int] = field(default_factory=list)  # body rows of each visible table
    headings: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)  # texts smaller than 11 pixels
    escaping: int = 0  # tables and images that have no box to scroll in
    hidden: int = 0  # pixels of the summary beyond the box it scrolls in
    first_image: float = 0.0  # pixels from the top of the page to its first image


_LOOK = """() => ({
  overflow: document.documentElement.scrollWidth - window.innerWidth,
  images: [...document.images].map(i => [i.alt, i.naturalWidth, i.getBoundingClientRect().width]),
  tables: [...document.querySelectorAll("table")].filter(t => t.getBoundingClientRect().height > 0)
    .map(t => t.querySelectorAll("tbody tr").length),
  headings: [...document.querySelectorAll("h1, h2, h3")].map(h => h.tagName + " " + h.innerText),
  unreadable: [...document.querySelectorAll("p, li, td, th, dd, dt, figcaption")]
    .filter(e => parseFloat(getComputedStyle(e).fontSize) < 11).map(e => e.innerText),
  escaping: [...document.querySelectorAll("table, img")]
    .filter(e => !["auto", "scroll"].includes(
      getComputedStyle(e.closest(".scroll") ?? e.parentElement).overflowX)).length,
  hidden: [...document.querySelectorAll('[aria-label="Table: summary.csv"]')]
    .map(box => box.scrollWidth - box.clientWidth)[0],
  first_image: document.images[0].getBoundingClientRect().top + window.scrollY,
})"""


@contextmanager
def browser() -> Iterator:
    """The system's Chromium, or a skip that says why there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip("no Chromium here: `apt-get install chromium` (root) installs it")
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=program, args=arguments)
        yield opened
        opened.close()


def look(opened, page: Path, width: int, picture: Path | None = None) -> Seen:
    """Open a file at this window width, in pixels; `picture` is a screenshot to write."""
    seen = Seen()
    tab = opened.new_page(viewport={"width": width, "height": 900})
    tab.on("console", lambda message: seen.said.append(message.text))
    tab.on("pageerror", lambda error: seen.said.append(str(error)))
    tab.on("request", lambda request: seen.asked.append(request.url))
    tab.goto(page.as_uri())
    tab.wait_for_load_state("networkidle")
    for name, value in tab.evaluate(_LOOK).items():
        setattr(seen, name, value)
    seen.asked = [url for url in seen.asked if not url.startswith("data:")]
    if picture is not None:
        tab.screenshot(path=picture, full_page=True)
    tab.close()
    return seen
