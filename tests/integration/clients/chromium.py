#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""chromium.py URL yes|no CA: the exchange from a page in Chromium, which always offers compression."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

from payloads import arguments
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"]
SCRIPT = """
    const done = arguments[arguments.length - 1];
    exchange((url) => new WebSocket(url), arguments[0]).then((result) => done(result), (fault) => done({fault: String(fault)}));
"""


def trust(home: pathlib.Path, authority: str) -> None:
    """Chromium takes its own roots and those of the database that NSS keeps in the user's home."""
    database = home / ".pki" / "nssdb"
    database.mkdir(parents=True)
    subprocess.run(["certutil", "-d", f"sql:{database}", "-N", "--empty-password"], check=True)
    subprocess.run(["certutil", "-d", f"sql:{database}", "-A", "-n", "authority", "-t", "C,,", "-i", authority], check=True)


def exchange(home: pathlib.Path, url: str) -> dict:
    options = webdriver.ChromeOptions()
    for flag in [*FLAGS, f"--user-data-dir={home / 'profile'}"]:
        options.add_argument(flag)
    page = home / "page.html"
    page.write_text("<!DOCTYPE html><title>page</title>")
    service = Service("/usr/bin/chromedriver", env={**os.environ, "HOME": str(home)})
    with webdriver.Chrome(options=options, service=service) as browser:
        browser.set_script_timeout(120)
        browser.get(page.as_uri())
        return browser.execute_async_script(pathlib.Path(__file__).with_name("exchange.js").read_text() + SCRIPT, url)


def main() -> None:
    url, _compressed, authority = arguments()
    with tempfile.TemporaryDirectory(prefix="wsserverd-chromium-", ignore_cleanup_errors=True) as home:
        trust(pathlib.Path(home), authority)
        result = exchange(pathlib.Path(home), url)
    if "fault" in result:
        sys.exit(result["fault"])
    print(json.dumps(result))


if __name__ == "__main__":
    main()
