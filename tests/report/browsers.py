"""The browsers of this machine that pages are tried in; None where there is none."""

import contextlib
import os
import shutil

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
FIREFOX = ("firefox-esr", "firefox")


def chromium_program():
    return next(filter(None, map(shutil.which, CHROMIUM)), None)


def firefox_program():
    return next(filter(None, map(shutil.which, FIREFOX)), None)


@contextlib.contextmanager
def chromium(program):
    """Give a new Chromium, driven by playwright."""
    from playwright.sync_api import sync_playwright

    root = hasattr(os, "geteuid") and os.geteuid() == 0
    with sync_playwright() as play:
        opened = play.chromium.launch(executable_path=program, args=["--no-sandbox"] if root else [])
        yield opened
        opened.close()
