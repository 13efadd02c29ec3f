#!/usr/bin/env python3
"""Measures how long a slider's movement takes until its picture is on the screen, in a real browser.

    Benchmarks/studio_browser.py [--drags 12] [--photo FILE]

A pointer drags the slider of a smile to and fro over the sample portrait, or another photo; the page asks for previews of
512 pixels. The total goes from the time of the input event to the end of the frame that shows the picture; the server's
part is the one that it states in `Server-Timing`, and the browser's part is the rest: sending, receiving, decoding,
drawing.

Needs Debian's chromium and chromium-driver, a Python with the packages of Tests/requirements.txt (Scripts/test-python
prints one), and the release build: make build.
"""

import argparse
import math
import re
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By

HERE = Path(__file__).resolve().parent
FACET = HERE.parent / ".build/release/facet"
PATIENCE = 60

# Each picture that follows a slider is stated by the page as a measure; the frame that shows it ends a little later.
WATCH = """
  window.shown = [];
  new PerformanceObserver((list) => {
    for (const { detail } of list.getEntries()) {
      if (!detail?.live) continue;
      requestAnimationFrame(() => setTimeout(() => {
        shown.push({ total: performance.now() - detail.start, server: detail.server });
      }));
    }
  }).observe({ type: "measure" });
"""


def wait(driver, what: str, script: str) -> None:
    end = time.monotonic() + PATIENCE
    while not driver.execute_script(script):
        if time.monotonic() > end:
            sys.exit(f"waited in vain for {what}")
        time.sleep(0.05)


def drag(driver, steps: int, pause: float) -> None:
    """Moves the pointer over the slider's whole length and back to its middle, button held."""
    box = driver.execute_script(
        "const b = document.getElementById('row-Smiling').getBoundingClientRect();"
        "return [b.left, b.top, b.width, b.height]")
    y = box[1] + box[3] / 2

    def mouse(kind: str, part: float) -> None:
        driver.execute_cdp_cmd("Input.dispatchMouseEvent", {
            "type": kind, "x": box[0] + box[2] * part, "y": y, "button": "left", "buttons": 1, "clickCount": 1})

    mouse("mousePressed", 0.5)
    for step in range(steps):
        mouse("mouseMoved", 0.5 + 0.4 * math.sin(2 * math.pi * (step + 1) / steps))
        time.sleep(pause)
    mouse("mouseReleased", 0.5)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--drags", type=int, default=12)
    parser.add_argument("--photo", type=Path, help="default: the sample portrait")
    options = parser.parse_args()

    server = subprocess.Popen([str(FACET), "serve", "--port", "0"], stdout=subprocess.PIPE, text=True)
    chrome = webdriver.ChromeOptions()
    chrome.binary_location = shutil.which("chromium")
    for option in ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1360,860"]:
        chrome.add_argument(option)
    try:
        url = re.search(r"http://\S+", server.stdout.readline()).group()
        driver = webdriver.Chrome(options=chrome, service=Service(shutil.which("chromedriver")))
        try:
            driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": WATCH})
            driver.get(url)
            # Also the random faces, so that they do not share the server with what is measured.
            wait(driver, "the page", "return document.querySelectorAll('#strangers .stranger:enabled').length >= 8")
            if options.photo:
                driver.find_element(By.ID, "file").send_keys(str(options.photo.resolve()))
            else:
                driver.find_element(By.ID, "sample").click()
            wait(driver, "the photo", "return document.querySelectorAll('.tile').length > 0")
            drag(driver, 30, 0.02)  # warms both
            time.sleep(2)
            driver.execute_script("shown.length = 0")
            for _ in range(options.drags):
                drag(driver, 60, 0.016)
                time.sleep(1)
            shown = driver.execute_script("return shown")
        finally:
            driver.quit()
    finally:
        server.terminate()
        server.wait()

    if len(shown) < 20:
        sys.exit(f"only {len(shown)} pictures were shown")
    parts = {
        "slider to screen": [entry["total"] for entry in shown],
        "  server": [entry["server"] for entry in shown],
        "  browser": [entry["total"] - entry["server"] for entry in shown],
    }
    print(f"{len(shown)} previews in {options.drags} drags, milliseconds   median     95 %")
    for name, values in parts.items():
        print(f"{name:46} {statistics.median(values):8.1f} {statistics.quantiles(values, n=20)[-1]:8.1f}")


main()
