"""Milliseconds from a slider's movement to its preview on the page, in chromium without a window.

    pip install -r Tests/requirements.txt
    FACET_PROGRAM=.build/release/facet python Benchmarks/peers/slider.py

The preview is 512 pixels, one movement at a time. The server's part is what its Server-Timing states; the browser's is
the rest: the event, the request, decoding the JPEG, drawing it, and the next frame. Chromium shares the cores with the
server.
"""

import statistics
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "Tests/StudioBrowser"))

from studio import Browser, Server

# Moves the slider as a person's input does and waits for the picture and the frame that shows it.
MOVE = """
  const [value, done] = arguments;
  const slider = document.getElementById("row-Smiling");
  performance.clearMeasures("preview");
  slider.valueAsNumber = value;
  slider.dispatchEvent(new Event("input", { bubbles: true }));
  const look = () => {
    const [measure] = performance.getEntriesByName("preview");
    if (!measure) requestAnimationFrame(look);
    else requestAnimationFrame(() => done([performance.now() - measure.startTime, measure.detail.server]));
  };
  requestAnimationFrame(look);
"""


def main(count: int = 120, warm_up: int = 10):
    server = Server()
    with tempfile.TemporaryDirectory() as folder:
        browser = Browser(Path(folder))
        try:
            browser.open(server.url)
            browser.settle()
            browser.sample()
            # Without a pause, so that no work for a picture at rest comes between.
            values = [(-1) ** step * (0.05 + step % 50 * 0.05) for step in range(count + warm_up)]
            measured = [browser.driver.execute_async_script(MOVE, value) for value in values][warm_up:]
        finally:
            browser.quit()
            server.kill()
    parts = {
        "total": [total for total, _ in measured],
        "server": [part for _, part in measured],
        "browser": [total - part for total, part in measured],
    }
    for name, values in parts.items():
        print(f"{name:8} median {statistics.median(values):6.1f} ms   95th percentile "
              f"{statistics.quantiles(values, n=20)[-1]:6.1f} ms")


if __name__ == "__main__":
    main()
