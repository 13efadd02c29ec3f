"""One server and one browser for all tests, and what tests of several files do with them."""

import atexit
import tempfile
import unittest
from pathlib import Path

from PIL import Image
from selenium.webdriver.common.action_chains import ActionChains

from studio import Browser, Server

PHONE = {"width": 390, "height": 844, "phone": True}
SIDEWAYS = {"width": 844, "height": 390, "phone": True}
LAPTOP = {"width": 1366, "height": 768}
WIDE = {"width": 2560, "height": 1440}
# A laptop's browser at 200 %.
MAGNIFIED = {"width": 683, "height": 384}

# What a finger on a screen meets less than 44 pixels of, across or down, with what it has around its drawing.
SMALL_TARGETS = """
  const root = document.querySelector("dialog[open]") ?? document.querySelector(arguments[0]);
  return [...root.querySelectorAll("button, input, select, summary, a[href], [role=slider]")].filter((element) => {
    if (element.disabled || !element.checkVisibility({ visibilityProperty: true }) || element.matches(".skip")) return false;
    const drawn = element.closest(".track") ?? element; // there the slider follows a finger on its track
    drawn.scrollIntoView({ block: "center", inline: "center" });
    const box = drawn.getBoundingClientRect();
    const [x, y] = [box.left + box.width / 2, box.top + box.height / 2];
    const reach = (across, down) => {
      let far = 0;
      for (; far < 44; far += 1) {
        const met = document.elementFromPoint(x + across * far, y + down * far);
        if (!drawn.contains(met) && met?.closest("label")?.control !== element) break;
      }
      return far;
    };
    return reach(-1, 0) + reach(1, 0) - 1 < 44 || reach(0, -1) + reach(0, 1) - 1 < 44;
  }).map((element) => element.id || element.getAttribute("aria-label") || element.textContent);
"""


class StudioTestCase(unittest.TestCase):
    browser: Browser
    server: Server
    folder: Path

    @classmethod
    def setUpClass(cls):
        if hasattr(StudioTestCase, "browser"):
            return
        temporary = tempfile.TemporaryDirectory(prefix="facet-browser-")
        atexit.register(temporary.cleanup)
        StudioTestCase.folder = Path(temporary.name)
        StudioTestCase.server = Server()
        atexit.register(lambda: StudioTestCase.server.kill())
        StudioTestCase.browser = Browser(StudioTestCase.folder)
        atexit.register(StudioTestCase.browser.quit)

    def tearDown(self):
        ActionChains(self.browser.driver).reset_actions()  # no button stays pressed

    def open_sample(self, **screen):
        self.browser.open(self.server.url, **screen)
        self.browser.sample()

    def open_photo(self, photo: Image.Image, name: str, **screen):
        self.browser.open(self.server.url, **screen)
        self.browser.choose(self.save(photo, name))
        self.browser.wait_for_photo()

    def save(self, photo: Image.Image, name: str, **options) -> Path:
        photo.save(self.folder / name, **options)
        return self.folder / name

    def saved(self, name: str, button: str) -> Path:
        """The whole file that a click on a button saves, and not one that an earlier test left."""
        file = self.folder / name
        file.unlink(missing_ok=True)
        self.browser.click(button)
        self.browser.wait("the whole file", lambda: file.exists() and file.stat().st_size > 0)
        return file

    def assert_fits(self, width: int):
        """Nothing scrolls sideways, and each button that is shown lies on the screen."""
        wide, outside = self.browser.js("""
          const sideways = (e) => e.closest(".tray, .face-picker, .faces");
          const boxes = [...document.querySelectorAll("button, input")].filter((e) => e.checkVisibility() && !sideways(e))
            .map((e) => [e.id || e.className, e.getBoundingClientRect()]);
          const page = document.scrollingElement;
          if (page.scrollHeight !== innerHeight || page.scrollTop !== 0) return [0, ["the page scrolls"]];
          return [page.scrollWidth,
            boxes.filter(([, b]) => b.width && (b.left < -0.5 || b.right > innerWidth + 0.5)).map(([name]) => name)];
        """)
        self.assertEqual((wide, outside), (width, []))

    def assert_touchable(self, state: str, within: str = "body"):
        """A finger meets 44 pixels each way of all that can be pressed there, or in the dialog that is open."""
        self.assertEqual(self.browser.js(SMALL_TARGETS, within), [], state)
