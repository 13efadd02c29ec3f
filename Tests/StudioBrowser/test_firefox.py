"""The main way in Debian's Firefox: open, edit, keep a region, download, several photos."""

import io
import shutil
import tempfile
import unittest
import zipfile
from pathlib import Path

from PIL import Image

from firefox import Firefox
from studio import Server, photo_of

# The pixels of the canvas, to compare: a number that changes with them.
PICTURE = """
  const canvas = document.getElementById("canvas");
  const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  let sum = 0;
  for (let at = 0; at < data.length; at += 97) sum = (sum * 31 + data[at]) % 2147483647;
  return sum;
"""
KEYS = {"End": "\uE010", "Home": "\uE011", "Control": "\uE009"}


@unittest.skipUnless(shutil.which("firefox-esr"), "firefox-esr is not installed")
class FirefoxTests(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="facet-firefox-test-")
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.server = Server()
        self.addCleanup(self.server.kill)
        self.browser = Firefox(self.folder)
        self.addCleanup(self.browser.quit)

    def set(self, attribute: str, key: str):
        self.browser.js("""
          const slider = document.getElementById(arguments[0]);
          slider.closest("details")?.setAttribute("open", "");
          slider.focus();
        """, f"row-{attribute}")
        self.browser.press(KEYS[key])

    def wait_for_file(self, name: str) -> Path:
        file = self.folder / name
        self.browser.wait(name, lambda: file.exists() and file.stat().st_size > 0 and not list(self.folder.glob("*.part")))
        return file

    def test_open_edit_download_and_several_photos(self):
        browser = self.browser
        sizes = {"one.png": (240, 180), "two.png": (200, 200)}
        photos = [photo_of((240, 180), {(60, 10): 160}), photo_of((200, 200), {(20, 20): 160})]
        for photo, name in zip(photos, sizes):
            photo.save(self.folder / name)
        browser.open(self.server.url)
        browser.shot("start")
        browser.choose(*[self.folder / name for name in sizes])
        browser.wait("both photos", "return document.querySelectorAll('.tray-photo').length === 2 && !document.body.classList.contains('opening')")
        browser.wait("the looks", "return !document.getElementById('looks').classList.contains('stale')")
        before = browser.js(PICTURE)
        self.set("Eyeglasses", "End")
        browser.wait("the preview", lambda: browser.js(PICTURE) != before)
        self.assertEqual(browser.js("return document.getElementById('change-count').textContent"), "1 change")
        browser.shot("edit")
        # A slider follows the pointer.
        x, y = browser.middle("#row-Smiling")
        browser.drag((x, y), (x - 20, y), (x - 60, y))
        browser.wait("the slider", "return Number(document.getElementById('row-Smiling').value) < -0.2")
        browser.press(KEYS["Control"], "z")
        browser.wait("undo", "return document.getElementById('change-count').textContent === '1 change'")
        browser.click("#download")
        with Image.open(self.wait_for_file("one-edited.png")) as edited, Image.open(self.folder / "one.png") as photo:
            self.assertEqual(edited.size, photo.size)
            self.assertNotEqual(edited.convert("RGB").tobytes(), photo.tobytes())
            whole = edited.convert("RGB").tobytes()
        # The brush keeps the face as it was.
        browser.click("#protect")
        browser.wait("the brush", "return document.body.classList.contains('protecting')")
        browser.js("const size = document.getElementById('brush-size'); size.value = 160; size.dispatchEvent(new Event('input'))")
        x, y = browser.middle("#viewport")
        for row in range(-160, 161, 80):
            browser.drag((x - 200, y + row), (x, y + row), (x + 200, y + row))
        browser.wait("the strokes", "return document.getElementById('protect').classList.contains('edited')")
        browser.shot("brush")
        browser.click("#brush-done")
        (self.folder / "one-edited.png").unlink()
        browser.click("#download")
        with Image.open(self.wait_for_file("one-edited.png")) as kept:
            self.assertNotEqual(kept.convert("RGB").tobytes(), whole)
        # All photos as one file: Firefox lets pages write into no folder.
        browser.click("#export-open")
        browser.wait("the sheet", "return document.getElementById('export').open")
        self.assertFalse(browser.js("return document.getElementById('export-saveFolder') !== null"))
        browser.click(".all-photos input")
        browser.click("#export-saveZip")
        with zipfile.ZipFile(self.wait_for_file("facet-photos.zip")) as archive:
            self.assertIsNone(archive.testzip())
            for name, size in sizes.items():
                with Image.open(io.BytesIO(archive.read(name.replace(".", "-edited.")))) as picture:
                    self.assertEqual(picture.size, size)
        self.assertEqual(browser.errors, [])


if __name__ == "__main__":
    unittest.main()
