#!/usr/bin/env python3
"""The docs pages in a real browser: a request is changed and sent, nothing else is loaded, nothing is complained of.

    python3 -m venv ~/.cache/serin/venv-browser
    ~/.cache/serin/venv-browser/bin/pip install -r e2e/browser/requirements.txt
    ~/.cache/serin/venv-browser/bin/python e2e/browser/docs_page.py --pictures /tmp

Needs a Chromium (`apt-get install chromium`, or --browser) and a built data plane (SERIN_DATAPLANE, or the debug build). With
--pictures it leaves a screenshot of each page in that folder.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from chromium import Chromium

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "conformance"))
from serving import Server, every_model  # noqa: E402

DESKTOP, PHONE = (1280, 800), (390, 844)


def send(browser: Chromium) -> str:
    """Presses the button and gives what the page says of the answer."""
    browser.run("document.getElementById('status').textContent = ''")
    browser.run("document.getElementById('send').click()")
    return browser.until("/status|No answer/.test(status_ = document.getElementById('status').textContent) && status_")


def text(browser: Chromium, element: str) -> str:
    return browser.run(f"document.getElementById('{element}').textContent")


def check_page(browser: Chromium, base: str, path: str, size: tuple[int, int], dark: bool) -> None:
    browser.open(base + path, *size, dark=dark)
    told = send(browser)
    assert told.startswith("OK: status 200"), f"{path}: {told}\n{text(browser, 'result')}"
    assert json.loads(text(browser, "result"))["outputs"], path
    assert not browser.complaints(), browser.complaints()
    outside = [url for url in browser.requested() if not url.startswith(base)]
    assert not outside and len(browser.requested()) == 2, browser.requested()
    wide = browser.run("document.documentElement.scrollWidth - innerWidth")
    assert wide <= 0, f"{path} is {wide} pixels too wide"
    nameless = browser.run(
        "[...document.querySelectorAll('button, a, textarea, pre')].filter(one => "
        "!(one.textContent.trim() || one.getAttribute('aria-label') || one.labels?.length || one.closest('[hidden]'))).length"
    )
    assert nameless == 0, f"{path}: {nameless} elements that a screen reader has no name for"


def check_curl(browser: Chromium) -> None:
    """The command that the page shows gives what the page got."""
    answer = subprocess.run(["sh", "-c", text(browser, "curl")], capture_output=True, text=True, timeout=30, check=True).stdout
    shown = json.loads(text(browser, "result"))
    assert json.loads(answer)["outputs"] == shown["outputs"], answer


def check_refusal(browser: Chromium, base: str) -> None:
    browser.open(f"{base}/docs/models/linear", *DESKTOP)
    browser.run("document.getElementById('body').value = '{\"inputs\": []}'")
    told = send(browser)
    assert told.startswith("Refused: status 400") and "'X' is missing" in text(browser, "result"), told
    browser.run("document.getElementById('reset').click()")
    assert send(browser).startswith("OK")
    # By keyboard alone, and an integer beyond what JavaScript counts.
    browser.open(f"{base}/docs/models/identity_int64", *DESKTOP)
    browser.run(
        "b = document.getElementById('body'); b.value = b.value.replace('[1]\\n', '[9223372036854775807]\\n');"
        "b.dispatchEvent(new Event('input')); b.dispatchEvent(new KeyboardEvent('keydown', {key: 'Enter', ctrlKey: true}))"
    )
    browser.until("document.getElementById('status').textContent.startsWith('OK')")
    for element in ("result", "curl", "python", "grpc"):
        assert "9223372036854775807" in text(browser, element), text(browser, element)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--browser", default=shutil.which("chromium"), help="the program; Debian's chromium by default")
    parser.add_argument("--pictures", type=Path, help="a folder for screenshots")
    arguments = parser.parse_args()
    if not arguments.browser:
        parser.error("there is no chromium: apt-get install chromium, or name a program with --browser")
    with tempfile.TemporaryDirectory() as folder:
        server = Server(Path(folder), every_model()).wait_until("/readyz")
        base = f"http://{server.http}"
        try:
            with Chromium(arguments.browser) as browser:
                pages = ["/docs/models/iris", "/v2/models/iris/versions/2/docs/", "/docs/models/odd_names", "/docs/models/team%2Fa%20model"]
                for path in pages:
                    for name, size, dark in (("desktop", DESKTOP, False), ("phone", PHONE, True)):
                        check_page(browser, base, path, size, dark)
                        if arguments.pictures:
                            browser.screenshot(arguments.pictures / f"{path.strip('/').replace('/', '_').replace('%', '')}-{name}.png")
                    check_curl(browser)
                check_refusal(browser, base)
                for name, size in (("desktop", DESKTOP), ("phone", PHONE)):
                    browser.open(f"{base}/docs", *size)
                    assert browser.run("document.querySelectorAll('tbody tr').length") == len(every_model())
                    assert not browser.complaints(), browser.complaints()
                    assert browser.run("document.documentElement.scrollWidth <= innerWidth")
                    if arguments.pictures:
                        browser.screenshot(arguments.pictures / f"docs-{name}.png")
        finally:
            server.stop()
    print(f"{len(pages)} pages at two widths, light and dark: sent, answered, nothing else loaded")
    return 0


if __name__ == "__main__":
    sys.exit(main())
