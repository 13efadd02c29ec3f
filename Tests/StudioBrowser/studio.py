"""The studio's server and a browser that looks at its page."""

import base64
import ctypes
import os
import re
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

from PIL import Image, ImageDraw
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

REPOSITORY = Path(__file__).resolve().parents[2]
SAMPLE = REPOSITORY / "Sources/Facet/Resources/astronaut.jpg"
PROGRAM = os.environ.get("FACET_PROGRAM", str(REPOSITORY / ".build/debug/facet"))
# A name of this machine that browsers hold for another one: pages of it are on no secure origin.
FOREIGN = "studio.test"
SCREENSHOTS = Path(os.environ.get("FACET_SCREENSHOTS", REPOSITORY / ".build/studio-screenshots"))
# Seconds; other tests keep the machine busy.
PATIENCE = float(os.environ.get("FACET_PATIENCE", 240))


class Server:
    """`facet serve` on a port of this machine; a free one unless it is given."""

    def __init__(self, port: int = 0, *options: str):
        command = [PROGRAM, "serve", "--port", str(port), "--photos", "400", "--host", FOREIGN, *options]
        # It ends with this process, however that ends: PR_SET_PDEATHSIG.
        end = lambda: ctypes.CDLL(None).prctl(1, 15)
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, preexec_fn=end)
        found = re.search(r"http://[^:]+:(\d+)/", self.process.stdout.readline())
        if not found:
            sys.exit(f"{PROGRAM} serve did not start")
        self.port = int(found.group(1))
        self.url = f"http://127.0.0.1:{self.port}/"

    @property
    def foreign_url(self) -> str:
        """The same server as another device of the network sees it, over plain http."""
        return f"http://{FOREIGN}:{self.port}/"

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


def photo_of(size: tuple[int, int], portraits: dict[tuple[int, int], int]) -> Image.Image:
    """A plain picture with the sample's head at some places: its upper left corner, and its side.

    Small ones: a debug build takes seconds to search them.
    """
    photo = Image.new("RGB", size, (92, 104, 96))
    with Image.open(SAMPLE) as sample:
        head = sample.crop((115, 0, 325, 210))
    for place, side in portraits.items():
        photo.paste(head.resize((side, side), Image.LANCZOS), place)
    return photo


def photo_without_face(size: tuple[int, int]) -> Image.Image:
    photo = Image.linear_gradient("L").resize(size).convert("RGB")
    ImageDraw.Draw(photo).rectangle((20, 30, 60, 50), fill=(180, 60, 40))
    return photo


# Runs before the page's own scripts: how much work is under way that more may follow, and what was asked for.
WATCH = """
  window.watched = { open: 0, quietSince: 0, calls: [] };
  const end = () => { watched.open -= 1; watched.quietSince = performance.now(); };
  const watch = (owner, name, isWork = () => true) => {
    const original = owner[name];
    owner[name] = async function (...values) {
      if (!isWork(...values)) return original.apply(this, values);
      watched.open += 1;
      try {
        return await original.apply(this, values);
      } finally {
        end();
      }
    };
  };
  watch(window, "fetch", (path, options) => {
    if (String(path).endsWith("health")) return false; // that never ends
    watched.calls.push(`${options?.method ?? "GET"} ${path}`);
    return true;
  });
  for (const name of ["blob", "json", "arrayBuffer"]) watch(Response.prototype, name);
  watch(window, "createImageBitmap");
  const send = XMLHttpRequest.prototype.send;
  XMLHttpRequest.prototype.send = function (...body) {
    watched.open += 1;
    this.addEventListener("loadend", end);
    return send.apply(this, body);
  };
"""

# The mean difference of the canvas's values (0 … 255) from those kept before, in a part of it: left and right as
# parts of the photo's visible width.
DIFFERENCE = """
  const [name, left, right] = arguments;
  const canvas = document.getElementById("canvas");
  const now = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const kept = window.keptPictures[name];
  if (kept.width !== now.width || kept.height !== now.height) return 255;
  const photo = window.photoRange();
  const [from, to] = [left, right].map((part) => Math.round(photo.left + (photo.right - photo.left) * part));
  let [sum, count] = [0, 0];
  for (let y = 0; y < now.height; y += 1) {
    for (let x = from; x < to; x += 1) {
      const at = 4 * (y * now.width + x);
      if (now.data[at + 3] === 0) continue;
      for (let c = 0; c < 3; c += 1) sum += Math.abs(now.data[at + c] - kept.data[at + c]);
      count += 3;
    }
  }
  return count ? sum / count : 0;
"""

KEEP = """
  const canvas = document.getElementById("canvas");
  const picture = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  (window.keptPictures ??= {})[arguments[0]] = picture;
  window.photoRange ??= () => {
    // The columns of the canvas that the photo covers.
    const { width, height } = canvas;
    const row = canvas.getContext("2d").getImageData(0, height >> 1, width, 1).data;
    const covered = (x) => row[4 * x + 3] > 0;
    let [left, right] = [0, width];
    while (left < width && !covered(left)) left += 1;
    while (right > left && !covered(right - 1)) right -= 1;
    return { left, right };
  };
"""


class Browser:
    """Chromium without a window, on the studio's page."""

    def __init__(self, downloads: Path):
        options = webdriver.ChromeOptions()
        options.binary_location = shutil.which("chromium")
        for option in [
            "--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--hide-scrollbars",
            "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream", "--window-size=1360,860",
            f"--host-resolver-rules=MAP {FOREIGN} 127.0.0.1",
        ]:
            options.add_argument(option)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
        self.driver.set_script_timeout(PATIENCE)
        self.downloads = downloads
        self.cdp("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(downloads))
        self.cdp("Page.addScriptToEvaluateOnNewDocument", source=WATCH)

    def quit(self):
        self.driver.quit()

    def cdp(self, command: str, **parameters):
        return self.driver.execute_cdp_cmd(command, parameters)

    def open(self, url: str, width: int = 1360, height: int = 860, dark: bool = False, phone: bool = False):
        """Loads the page as on a screen of a size in CSS pixels, and waits for its sliders."""
        self.cdp(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, mobile=phone,
            deviceScaleFactor=2 if phone else 1)
        self.cdp("Emulation.setTouchEmulationEnabled", enabled=phone)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.cdp("Emulation.setEmulatedMedia", features=[scheme])
        self.leave()
        self.driver.get_log("browser")
        self.driver.get(url)
        self.wait("the sliders", "return document.querySelectorAll('#groups .range').length >= 35")

    def leave(self):
        """Leaves the page with what it keeps."""
        if self.driver.current_url.startswith("http"):
            # What was edited is not asked for in vain.
            self.js("sessionStorage.clear(); localStorage.clear();"
                    "addEventListener('beforeunload', (event) => event.stopImmediatePropagation(), true);")
        self.driver.get("about:blank")

    # --- What the page holds

    def js(self, script: str, *arguments):
        return self.driver.execute_script(script, *arguments)

    def later(self, script: str):
        """What a script that waits for promises returns."""
        return self.js(f"return (async () => {{ {script} }})()")

    def id(self, name: str):
        return self.driver.find_element(By.ID, name)

    def css(self, selector: str):
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def text(self, name: str) -> str:
        return self.js("return document.getElementById(arguments[0]).textContent", name).strip()

    def is_shown(self, name: str) -> bool:
        return self.js("return document.getElementById(arguments[0]).checkVisibility()", name)

    def mode(self) -> str:
        return self.js("return document.body.dataset.mode")

    def focused(self) -> str:
        """The element that has the focus: its id, else its class."""
        return self.js("const e = document.activeElement; return e.id || e.className || e.tagName")

    def slider(self, attribute: str):
        return self.id(f"row-{attribute}")

    def strength(self, attribute: str) -> float:
        return float(self.slider(attribute).get_property("value"))

    def chance(self, attribute: str) -> int:
        """The probability that the panel shows, in percent."""
        return int(re.search(r"\d+", self.text(f"row-{attribute}-chance")).group())

    def calls(self) -> list[str]:
        return self.js("return watched.calls")

    # --- Waiting

    def wait(self, what: str, condition, *arguments, seconds: float = PATIENCE):
        """Waits until a script, or a function, gives something true, and returns it."""
        end = time.monotonic() + seconds
        while True:
            value = self.js(condition, *arguments) if isinstance(condition, str) else condition()
            if value:
                return value
            if time.monotonic() > end:
                self.shot("in-vain-" + what.replace(" ", "-"))
                raise AssertionError(f"waited in vain for {what}")
            time.sleep(0.05)

    def reveal(self, attribute: str):
        """Opens the group of a slider and scrolls there."""
        self.js("""
          const slider = document.getElementById(arguments[0]);
          slider.closest("details")?.setAttribute("open", "");
          slider.scrollIntoView({ block: "center" });
        """, f"row-{attribute}")

    def photo_box(self) -> tuple[int, int, int, int]:
        """Left, top, width and height of what is drawn on the canvas, in its pixels."""
        return tuple(self.js("""
          const canvas = document.getElementById("canvas");
          const { width, height } = canvas;
          const data = canvas.getContext("2d").getImageData(0, 0, width, height).data;
          let [left, top, right, bottom] = [width, height, -1, -1];
          for (let y = 0; y < height; y += 1) {
            for (let x = 0; x < width; x += 1) {
              if (data[4 * (y * width + x) + 3] === 0) continue;
              if (x < left) left = x;
              if (x > right) right = x;
              if (y < top) top = y;
              if (y > bottom) bottom = y;
            }
          }
          return right < 0 ? [0, 0, 0, 0] : [left, top, right - left + 1, bottom - top + 1];
        """))

    def touch(self, kind: str, *points: tuple[float, float]):
        """`Start`, `Move` or `End` of fingers."""
        self.cdp("Input.dispatchTouchEvent", type=f"touch{kind}", touchPoints=[{"x": x, "y": y} for x, y in points])

    def settle(self):
        """Waits until the page has done all it wants: no work for longer than it waits before it makes a picture sharp."""
        self.wait("the page to be still", "return !watched.open && performance.now() - watched.quietSince > 350")
        # The canvas has the size of its place once a frame was drawn.
        self.later("await new Promise((done) => { requestAnimationFrame(() => setTimeout(done)); });")

    def wait_for_photo(self):
        self.wait(
            "the photo",
            "return document.body.dataset.mode === 'edit' && !document.body.classList.contains('opening')")
        self.settle()

    # --- The canvas

    def keep(self, name: str):
        """Keeps what the canvas shows, under a name."""
        self.js(KEEP, name)

    def difference(self, name: str, left: float = 0, right: float = 1) -> float:
        return self.js(DIFFERENCE, name, left, right)

    def difference_in_face(self, name: str) -> float:
        """The same for the columns of the sample's face: an edit of it changes little of the whole photo."""
        return self.difference(name, 0.36, 0.52)

    # --- What a person does

    def click(self, name: str):
        try:
            self.id(name).click()
        except StaleElementReferenceException:  # made anew between the two
            self.id(name).click()

    def open_sheet(self):
        """Opens the sheet of ways to keep the result, whose code is loaded when it is first asked for."""
        self.click("export-open")
        self.wait("the sheet", lambda: self.is_shown("export"))

    def click_in_panel(self, selector: str):
        """Clicks after scrolling there, as a person does, since a group's name may lie above what is on top."""
        element = self.css(selector)
        self.js("arguments[0].scrollIntoView({ block: 'center' })", element)
        element.click()

    def press(self, *keys: str):
        """Keys to whatever has the focus, the last one with those before it held."""
        chain = ActionChains(self.driver)
        for key in keys[:-1]:
            chain.key_down(key)
        chain.send_keys(keys[-1])
        for key in reversed(keys[:-1]):
            chain.key_up(key)
        chain.perform()

    def mouse(self, event: str, x: float, y: float):
        """`Pressed`, `Moved` (while pressed) or `Released` at a place of the window.

        WebDriver's own moves do not tell the browser that a button is down, and drag no slider's thumb.
        """
        self.cdp(
            "Input.dispatchMouseEvent", type=f"mouse{event}", x=x, y=y, button="left",
            buttons=0 if event == "Released" else 1, clickCount=1)

    def middle(self, element) -> tuple[float, float]:
        return tuple(self.js("""
          const box = arguments[0].getBoundingClientRect();
          return [box.left + box.width / 2, box.top + box.height / 2];
        """, element))

    def focus(self, attribute: str):
        self.js("arguments[0].focus()", self.slider(attribute))

    def set(self, attribute: str, key: str):
        """One key on a slider: one step of the history."""
        self.focus(attribute)
        self.press(key)

    @contextmanager
    def holding(self, key: str):
        ActionChains(self.driver).key_down(key).perform()
        yield
        ActionChains(self.driver).key_up(key).perform()

    def choose(self, file: Path):
        self.id("file").send_keys(str(file))

    def sample(self):
        self.click("sample")
        self.wait_for_photo()

    # --- What is kept of a run

    def shot(self, name: str):
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        # WebDriver's own way takes twice the time.
        picture = self.cdp("Page.captureScreenshot", format="png", optimizeForSpeed=True)["data"]
        (SCREENSHOTS / f"{name}.png").write_bytes(base64.b64decode(picture))

    def errors(self) -> list[str]:
        """What the page complained about since it was opened."""
        return [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] == "SEVERE"]
