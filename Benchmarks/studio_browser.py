#!/usr/bin/env python3
"""Measures what a person waits for in the studio, in a real browser.

    Benchmarks/studio_browser.py [--drags 4] [--busy] [--photo FILE] [--facet FACET]

A pointer drags one slider after the other to and fro over the sample portrait, or another photo; the page asks for
previews of 512 pixels. The total goes from the time of the input event to the end of the frame that shows the picture;
the server's part is the one that it states in `Server-Timing`, and the browser's part is the rest: sending, receiving,
decoding, drawing. With --busy it drags once more while another program takes all cores.

Then ten thumbnails of looks, asked for at once, of faces that the server has just met. The first edit of a face
costs most.

Needs Debian's chromium and chromium-driver, a Python with the packages of Tests/requirements.txt (Scripts/test-python
prints one), and the release build: make build.
"""

import argparse
import json
import math
import os
import re
import shutil
import statistics
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By

HERE = Path(__file__).resolve().parent
SAMPLE = HERE.parent / "Sources/Facet/Resources/astronaut.jpg"
PATIENCE = 60
# The slider of each edit of which the table tells.
SLIDERS = {"smile": "Smiling", "age": "Young", "make-up": "Heavy_Makeup", "glasses": "Eyeglasses", "hair": "Black_Hair"}
LOOKS = [{"Smiling": 1}, {"Smiling": -1}, {"Eyeglasses": 1}, {"Heavy_Makeup": 1}, {"Black_Hair": 1}, {"Blond_Hair": 1}, {"Young": 1},
         {"Young": -1}, {"Bangs": 1}, {"Goatee": 1}]

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


def drag(driver, slider: str, steps: int, pause: float) -> None:
    """Moves the pointer over most of the slider's length and back to its middle, button held."""
    left, top, width, height = driver.execute_script("""
      const slider = document.getElementById(`row-${arguments[0]}`);
      slider.closest("details")?.setAttribute("open", "");
      slider.scrollIntoView({ block: "center" });
      const box = slider.getBoundingClientRect();
      return [box.left, box.top, box.width, box.height];
    """, slider)

    def mouse(kind: str, part: float) -> None:
        driver.execute_cdp_cmd("Input.dispatchMouseEvent", {
            "type": kind, "x": left + width * part, "y": top + height / 2, "button": "left", "buttons": 1, "clickCount": 1})

    mouse("mousePressed", 0.5)
    for step in range(steps):
        mouse("mouseMoved", 0.5 + 0.4 * math.sin(2 * math.pi * (step + 1) / steps))
        time.sleep(pause)
    mouse("mouseReleased", 0.5)


def measure(driver, drags: int) -> dict[str, list[dict]]:
    """What each slider's movements cost, in turns."""
    shown: dict[str, list[dict]] = {name: [] for name in SLIDERS}
    for slider in SLIDERS.values():
        drag(driver, slider, 30, 0.02)  # warms both
        time.sleep(1)
    for _ in range(drags):
        for name, slider in SLIDERS.items():
            driver.execute_script("shown.length = 0")
            drag(driver, slider, 60, 0.016)
            time.sleep(1)
            shown[name] += driver.execute_script("return shown")
    return shown


def report(title: str, shown: dict[str, list[dict]]) -> dict[str, float]:
    """Prints a table; the medians by edit."""
    print(f"{title}, milliseconds     pictures   median     95 %   server   browser")
    medians = {}
    for name, entries in shown.items():
        if len(entries) < 20:
            sys.exit(f"only {len(entries)} pictures of {name} were shown: ask for more --drags")
        totals, servers = [e["total"] for e in entries], [e["server"] for e in entries]
        medians[name] = statistics.median(totals)
        rest = statistics.median(t - s for t, s in zip(totals, servers))
        print(f"  {name:36} {len(totals):8} {medians[name]:8.1f} {statistics.quantiles(totals, n=20)[-1]:8.1f}"
              f" {statistics.median(servers):8.1f} {rest:9.1f}")
    return medians


@contextmanager
def all_cores_taken():
    """Another program, as many times as there are cores, at the same priority."""
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(os.cpu_count() or 1)]
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


def thumbnails(url: str, photo: Path, count: int) -> list[float]:
    """Seconds for ten looks of a face that is new each time."""
    def call(path: str, body: bytes, kind: str) -> bytes:
        with urllib.request.urlopen(urllib.request.Request(url + path, body, {"Content-Type": kind})) as answer:
            return answer.read()

    tiles = [[{"attribute": name, "strength": strength} for name, strength in look.items()] for look in LOOKS]
    body = json.dumps({"face": 0, "tiles": tiles, "size": 112}).encode()
    took = []
    for _ in range(count):
        session = json.loads(call("api/photos", photo.read_bytes(), "image/*"))["id"]
        start = time.perf_counter()
        call(f"api/photos/{session}/tiles", body, "application/json")
        took.append(time.perf_counter() - start)
    return took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--drags", type=int, default=4, help="of each slider")
    parser.add_argument("--busy", action="store_true", help="also while another program takes all cores")
    parser.add_argument("--photo", type=Path, help="default: the sample portrait")
    parser.add_argument("--facet", type=Path, default=HERE.parent / ".build/release/facet", help="the program")
    options = parser.parse_args()

    server = subprocess.Popen([str(options.facet), "serve", "--port", "0"], stdout=subprocess.PIPE, text=True)
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
            # Also the start page's pictures, so that they do not share the server with what is measured.
            wait(driver, "the page", "return document.getElementById('demo').classList.contains('shown')")
            if options.photo:
                driver.find_element(By.ID, "file").send_keys(str(options.photo.resolve()))
            else:
                driver.find_element(By.ID, "sample").click()
            wait(driver, "the photo", "return document.querySelectorAll('.tile').length > 0")
            time.sleep(2)
            quiet = report("slider to screen", measure(driver, options.drags))
            if options.busy:
                with all_cores_taken():
                    busy = report("the same on a busy machine", measure(driver, options.drags))
                print("  times the quiet median: " + ", ".join(f"{name} {busy[name] / quiet[name]:.1f}" for name in quiet))
        finally:
            driver.quit()
        took = thumbnails(url, options.photo or SAMPLE, 9)
        print(f"ten thumbnails of a new face, seconds: median {statistics.median(took):.2f}, longest {max(took):.2f}")
    finally:
        server.terminate()
        server.wait()


main()
