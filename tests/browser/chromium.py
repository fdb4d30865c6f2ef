"""The Chromium that is there, driven by playwright; nothing is downloaded."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser

VARIABLE = "PFNLAB_CHROMIUM"
PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = [
    "--no-sandbox",  # root in a container has none
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--disable-sync",
    "--no-first-run",
]


class AbsentError(Exception):
    """There is no browser here, or nothing to drive it; the message says how to get it."""


def chromium() -> str:
    """Return the path of the browser.

    Raises
    ------
    AbsentError
        If there is none.
    """
    if program := os.environ.get(VARIABLE) or next(filter(None, map(shutil.which, PROGRAMS)), None):
        return program
    raise AbsentError(f"no Chromium: apt-get install chromium, or {VARIABLE}=/path/to/chromium")


@contextmanager
def launched(program: str) -> Iterator[Browser]:
    """Start the browser and give it; it ends with the context.

    Raises
    ------
    AbsentError
        If playwright is not installed.
    """
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        raise AbsentError("no playwright: pip install -e '.[test]'") from None
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield browser
        browser.close()
