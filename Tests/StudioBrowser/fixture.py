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

    def assert_touchable(self, state: str):
        """What a finger uses is 44 pixels wide and high."""
        small = self.browser.js("""
          const sheet = document.querySelector("dialog[open]") ?? document;
          return [...sheet.querySelectorAll("button, input, select, summary, label.check, a.link, [role=slider]")]
            .filter((e) => e.checkVisibility({ visibilityProperty: true }) && !e.closest(".face") && !e.matches(".check input"))
            .map((e) => [e.id || e.className || e.textContent, e.getBoundingClientRect()])
            .filter(([, box]) => box.width && (box.width < 43.5 || box.height < 43.5))
            .map(([name, { width, height }]) => `${name} ${Math.round(width)} × ${Math.round(height)}`);
        """)
        self.assertEqual(sorted(set(small)), [], state)
