"""The studio's page in a real browser, against the real server.

    FACET_PROGRAM=.build/debug/facet python -m unittest discover -s Tests/StudioBrowser

Screenshots of each step go to .build/studio-screenshots.
"""

import importlib.resources
import io
import tempfile
import unittest
from pathlib import Path

from PIL import Image, ImageChops, ImageStat
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

from studio import SAMPLE, Browser, Server, photo_of, photo_without_face

AXE = importlib.resources.files("axe_playwright_python").joinpath("axe.min.js").read_text()
PHONE = {"width": 390, "height": 844, "phone": True}


def setUpModule():
    global browser, server, folder, _temporary
    _temporary = tempfile.TemporaryDirectory(prefix="facet-browser-")
    folder = Path(_temporary.name)
    unittest.addModuleCleanup(_temporary.cleanup)
    server = Server()
    unittest.addModuleCleanup(lambda: server.kill())
    browser = Browser(folder)
    unittest.addModuleCleanup(browser.quit)


class PageTests(unittest.TestCase):
    def tearDown(self):
        ActionChains(browser.driver).reset_actions()  # no button stays pressed

    def open_sample(self, **screen):
        browser.open(server.url, **screen)
        browser.sample()

    def save(self, photo: Image.Image, name: str, **options) -> Path:
        photo.save(folder / name, **options)
        return folder / name

    # --- Photos

    def test_upload(self):
        browser.open(server.url)
        browser.settle()
        browser.shot("start")
        photo = photo_of((240, 180), {(60, 10): 160})
        browser.choose(self.save(photo, "holiday.png"))
        browser.wait_for_photo()
        browser.shot("upload")
        self.assertEqual(browser.text("file-name"), "holiday.png")
        self.assertGreater(browser.chance("Smiling"), 80)
        self.assertLess(browser.chance("Eyeglasses"), 20)
        # The outline lies around the head.
        x, y, width = browser.js("""
          const face = document.querySelector(".face").getBoundingClientRect();
          const port = document.getElementById("viewport").getBoundingClientRect();
          const scale = Math.min((port.width - 48) / 240, (port.height - 48) / 180);
          const left = port.left + port.width / 2 - 120 * scale, top = port.top + port.height / 2 - 90 * scale;
          return [(face.left + face.width / 2 - left) / scale, (face.top + face.height / 2 - top) / scale,
            face.width / scale];
        """)
        self.assertTrue(130 < x < 160 and 80 < y < 110 and 100 < width < 190, (x, y, width))
        self.assertEqual(browser.errors(), [])

    def test_a_photo_that_is_dropped_has_two_faces(self):
        browser.open(server.url)
        photo = photo_of((320, 150), {(0, 0): 150, (165, 0): 150})
        encoded = io.BytesIO()
        photo.save(encoded, "JPEG")
        browser.js("""
          const data = new DataTransfer();
          data.items.add(new File([new Uint8Array(arguments[0])], "two.jpg", { type: "image/jpeg" }));
          for (const type of ["dragenter", "dragover", "drop"]) {
            document.body.dispatchEvent(new DragEvent(type, { dataTransfer: data, bubbles: true, cancelable: true }));
          }
        """, list(encoded.getvalue()))
        browser.wait_for_photo()
        self.assertEqual(len(browser.driver.find_elements("css selector", ".face")), 2)
        browser.keep("photo")
        second = browser.css("#face-picker .chip:nth-child(2)")
        second.click()
        self.assertEqual(second.get_attribute("aria-pressed"), "true")
        is_left = browser.js("""
          const [a, b] = [...document.querySelectorAll(".face")].map((face) => face.getBoundingClientRect().left);
          return b < a;
        """)
        browser.set("Smiling", Keys.HOME)
        browser.settle()
        browser.shot("two-faces")
        left, right = browser.difference("photo", 0, 0.5), browser.difference("photo", 0.5, 1)
        edited, other = (left, right) if is_left else (right, left)
        self.assertGreater(edited, 1)
        self.assertLess(other, 0.3)

    def test_an_unsupported_file_and_a_photo_without_a_face(self):
        text = folder / "notes.jpg"
        text.write_text("This is no photo.\n" * 100)
        empty = self.save(photo_without_face((96, 72)), "wall.png")
        browser.open(server.url)
        for file, words, name in [
            (text, "is not a photo that can be read", "unsupported"), (empty, "No face was found", "no-face")
        ]:
            browser.choose(file)
            browser.wait("the fault", lambda: words in browser.text("start-problem"))
            browser.settle()
            self.assertTrue(browser.is_shown("start-problem"))
            self.assertIn(file.name, browser.text("start-problem"))
            self.assertEqual(browser.mode(), "start")
            browser.shot(name)
        # The photo that is open stays open.
        browser.sample()
        self.assertFalse(browser.is_shown("start-problem"))
        browser.set("Smiling", Keys.HOME)
        browser.settle()
        browser.keep("edited")
        for file, words in [(text, "is not a photo"), (empty, "No face was found")]:
            browser.choose(file)
            browser.wait("the note", lambda: words in browser.text("toast") and browser.is_shown("toast"))
            browser.settle()
            self.assertEqual((browser.mode(), browser.text("file-name")), ("edit", "Sample portrait"))
            self.assertEqual(browser.text("change-count"), "1 change")
            self.assertLess(browser.difference("edited"), 0.1)
        browser.shot("unsupported-while-editing")

    # --- Editing

    def test_the_preview_follows_the_slider(self):
        self.open_sample()
        browser.keep("photo")
        before = browser.chance("Smiling")
        self.assertGreater(before, 90)
        slider = browser.slider("Smiling")
        x, y = browser.middle(slider)
        browser.mouse("Pressed", x, y)
        seen = []
        for step in range(1, 6):
            browser.keep("last")
            browser.mouse("Moved", x - 25 * step, y)
            # The picture changes while the button is down.
            browser.wait("the preview", lambda: browser.difference("last") > 0.05)
            seen.append(browser.difference("photo"))
        self.assertEqual(seen, sorted(seen))
        self.assertFalse(browser.id("undo").is_enabled())
        browser.shot("slide-moving")
        browser.mouse("Released", x - 125, y)
        browser.settle()
        browser.shot("slide")
        strength = browser.strength("Smiling")
        self.assertTrue(-2.6 <= strength < -2, strength)
        self.assertTrue(browser.id("undo").is_enabled())
        self.assertEqual(browser.text("change-count"), "1 change")
        self.assertGreater(browser.difference("photo"), 0.5)
        # The percentages are measured again.
        after = browser.chance("Smiling")
        self.assertLess(after, before - 30)
        self.assertRegex(browser.text("row-Smiling-chance"), rf"{after} % likely now, .*{before} % in the photo")
        self.assertEqual(slider.get_attribute("aria-valuetext"), browser.css(".row.changed .row-value").text)
        # What was measured on the way names the server's part of it.
        total, part = browser.js(
            "const m = performance.getEntriesByName('preview')[0]; return [m.duration, m.detail.server]")
        self.assertTrue(0 < part < total, (part, total))

        ActionChains(browser.driver).double_click(slider).perform()
        browser.settle()
        self.assertEqual(browser.strength("Smiling"), 0)
        self.assertEqual(browser.text("change-count"), "No changes")
        self.assertLess(browser.difference("photo"), 0.1)
        self.assertEqual(browser.chance("Smiling"), before)
        self.assertEqual(browser.errors(), [])

    def test_undo_redo_and_a_sliders_own_undo(self):
        self.open_sample()
        state = lambda: (browser.strength("Smiling"), browser.strength("Eyeglasses"))
        browser.keep("photo")
        browser.set("Smiling", Keys.HOME)
        browser.set("Eyeglasses", Keys.END)
        browser.settle()
        browser.keep("both")
        browser.shot("undo-before")
        self.assertEqual(state(), (-3, 3))
        # The slider that was moved first goes back by its own undo, and the other stays.
        browser.click_in_panel("[aria-label='Undo Smiling']")
        self.assertEqual(state(), (0, 3))
        self.assertFalse(browser.css("[aria-label='Undo Smiling']").is_enabled())
        browser.click("undo")
        self.assertEqual(state(), (-3, 3))
        browser.press(Keys.CONTROL, "z")
        self.assertEqual(state(), (-3, 0))
        browser.click("undo")
        self.assertEqual(state(), (0, 0))
        self.assertFalse(browser.id("undo").is_enabled())
        browser.settle()
        browser.shot("undo-after")
        self.assertLess(browser.difference("photo"), 0.1)
        browser.click("redo")
        browser.press(Keys.CONTROL, Keys.SHIFT, "z")
        self.assertEqual(state(), (-3, 3))
        browser.settle()
        self.assertLess(browser.difference("both"), 0.1)
        browser.click("reset-all")
        self.assertEqual(state(), (0, 0))
        browser.click("undo")
        self.assertEqual(state(), (-3, 3))
        browser.click_in_panel("[aria-label^='Reset Smiling']")
        self.assertEqual(state(), (0, 3))

    def test_compare(self):
        self.open_sample()
        browser.keep("before")
        browser.set("Eyeglasses", Keys.END)
        browser.settle()
        browser.keep("after")
        # Where the face is.
        self.assertGreater(browser.difference("before", 0.36, 0.52), 1)
        browser.click("compare")
        divider = browser.id("divider")
        value = lambda: int(divider.get_attribute("aria-valuenow"))

        def is_divided_at(part):
            def check():
                # The photo before on its left, the edited one on its right, and they differ.
                return (browser.difference("before", 0, part - 0.02) < 0.05
                        and browser.difference("after", part + 0.02, 1) < 0.05
                        and browser.difference("after", 0.3, part) > 0.3)
            return check

        # It begins in the face.
        self.assertTrue(38 < value() < 50, value())
        browser.wait("the divided picture", is_divided_at(value() / 100))
        browser.shot("compare")
        begun = value()
        x, y = browser.middle(divider)
        browser.mouse("Pressed", x, y)
        for step in (10, 20, 30, 40, 50):
            browser.mouse("Moved", x + step, y)
        browser.mouse("Released", x + 50, y)
        dragged = value()
        self.assertTrue(begun + 6 < dragged < begun + 12, (begun, dragged))
        browser.wait("the picture divided by the drag", is_divided_at(dragged / 100))
        browser.shot("compare-dragged")
        browser.js("arguments[0].focus()", divider)
        for key, expected in [(Keys.ARROW_RIGHT, dragged + 2), (Keys.END, 100), (Keys.ARROW_LEFT, 98), (Keys.HOME, 0)]:
            browser.press(key)
            self.assertAlmostEqual(value(), expected, delta=1)
        browser.wait("the edited photo", lambda: browser.difference("after") < 0.05)
        browser.press("c")
        self.assertFalse(browser.is_shown("divider"))
        with browser.holding("b"):
            browser.wait("the photo before", lambda: browser.difference("before") < 0.05)
            browser.shot("compare-held")
        browser.wait("the photo after", lambda: browser.difference("after") < 0.05)

    def test_spectrum_presets_search_and_zoom(self):
        self.open_sample()
        browser.keep("photo")
        tiles = browser.driver.find_elements("css selector", ".tile")
        self.assertGreaterEqual(len(tiles), 5)
        pressed = [tile for tile in tiles if tile.get_attribute("aria-pressed") == "true"]
        self.assertEqual(pressed, [tiles[len(tiles) // 2]])
        tiles[0].click()
        browser.settle()
        self.assertLess(browser.strength("Smiling"), -1)
        self.assertEqual(tiles[0].get_attribute("aria-pressed"), "true")
        self.assertGreater(browser.difference("photo"), 0.5)
        browser.keep("one")
        browser.click_in_panel(".presets .chip")
        browser.settle()
        browser.shot("spectrum-and-preset")
        self.assertEqual(browser.text("change-count"), "2 changes")
        self.assertGreater(browser.difference("one"), 0.2)
        shown = lambda: browser.js("""
          return [...document.querySelectorAll(".row")].filter((e) => e.checkVisibility()).map((e) => e.textContent);
        """)
        browser.click("search")
        browser.press("hair")
        self.assertTrue(2 <= len(shown()) <= 12 and all("hair" in row.lower() for row in shown()), shown())
        browser.shot("search")
        browser.press("qqq")
        self.assertEqual(shown(), [])
        browser.press(Keys.ESCAPE)
        self.assertGreaterEqual(len(shown()), 40)
        browser.settle()
        browser.keep("fit")
        browser.click("zoom-in")
        browser.click("zoom-in")
        browser.settle()
        browser.shot("zoomed")
        self.assertEqual(browser.text("zoom-level"), "196 %")
        zoomed = browser.difference("fit")
        self.assertGreater(zoomed, 1)
        browser.click("zoom-fit")
        browser.settle()
        # Where the page had time for a larger picture between the clicks, it keeps that, and draws it smaller.
        self.assertLess(browser.difference("fit"), max(0.1, zoomed / 50))

    def test_morph_with_a_random_face(self):
        self.open_sample()
        browser.click("morph-mode")
        browser.click("morph-random")
        browser.wait("the morph", lambda: "POST /api/morph" in browser.calls())
        browser.settle()
        place = browser.id("morph-at")
        browser.js("arguments[0].focus()", place)
        browser.press(Keys.HOME)
        browser.settle()
        browser.keep("first")
        browser.press(Keys.END)
        browser.wait("the second face", lambda: browser.difference("first") > 3)
        browser.shot("morph")
        browser.click("morph-mode")
        browser.settle()
        self.assertEqual(browser.mode(), "edit")

    def test_download(self):
        browser.open(server.url)
        photo = photo_of((240, 180), {(60, 10): 160})
        source = self.save(photo, "portrait.png")
        # With the place of the eyes.
        for name, width, height, eyes in [
            ("Sample portrait", 512, 512, (185, 90, 265, 120)), ("portrait", 240, 180, (113, 79, 174, 101)),
        ]:
            if name == "portrait":
                browser.choose(source)
                browser.wait("the photo", lambda: browser.text("file-name") == "portrait.png")
                browser.settle()
            else:
                browser.sample()
            browser.set("Eyeglasses", Keys.END)
            browser.click("download")
            kind = "JPEG" if name != "portrait" else "PNG"
            file = folder / f"{name}-edited.{'jpg' if kind == 'JPEG' else 'png'}"
            browser.wait("the file", file.exists)
            browser.shot(f"download-{kind.lower()}")
            with Image.open(file) as edited:
                self.assertEqual((edited.format, edited.size), (kind, (width, height)))
                # A PNG has it compressed.
                mark = file.read_bytes() if kind == "JPEG" else edited.info["XML:com.adobe.xmp"].encode()
                source_type = b"digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
                self.assertTrue(b"http://cv.iptc.org/newscodes/" + source_type in mark, kind)
                change = ImageChops.difference(
                    edited.convert("RGB"), photo if kind == "PNG" else Image.open(SAMPLE).convert("RGB"))
            self.assertGreater(sum(ImageStat.Stat(change.crop(eyes)).mean) / 3, 10)
            # Far from the face all is as it was.
            corner = change.crop((0, 0, 20, 20) if kind == "PNG" else (0, 400, 512, 512))
            self.assertLess(sum(ImageStat.Stat(corner).mean) / 3, 0.5 if kind == "JPEG" else 0.001)

    # --- Everyone

    def test_the_keyboard_alone(self):
        browser.open(server.url)
        browser.settle()

        def tab_to(wanted: str, most: int = 40) -> list[str]:
            """Tabs until an element has the focus; each on the way can be seen."""
            visited = []
            for _ in range(most):
                browser.press(Keys.TAB)
                visited.append(browser.focused())
                browser.wait("the focus to be in sight", """
                  const box = document.activeElement.getBoundingClientRect();
                  return box.width > 0 && box.bottom > 0 && box.top < innerHeight
                    && box.right > 0 && box.left < innerWidth;
                """, seconds=20)
                if visited[-1] == wanted:
                    return visited
            raise AssertionError(f"{wanted} is not among {visited}")

        self.assertEqual(tab_to("skip"), ["skip"])
        browser.shot("keyboard-skip")
        self.assertEqual(tab_to("sample")[-3:], ["choose", "camera-open", "sample"])
        browser.shot("keyboard-start")
        browser.press(Keys.ENTER)
        browser.wait_for_photo()
        self.assertEqual(browser.focused(), "viewport")
        browser.keep("photo")
        browser.press("+")
        browser.wait("zoom", lambda: browser.text("zoom-level") == "140 %")
        browser.press("0")
        browser.wait("the whole photo", lambda: browser.text("zoom-level") == "100 %")
        path = tab_to("row-Smiling")
        self.assertLess(path.index("search"), path.index("row-Smiling"))
        for _ in range(5):
            browser.press(Keys.ARROW_LEFT)
        self.assertAlmostEqual(browser.strength("Smiling"), -0.5, delta=0.26)
        browser.wait("the preview", lambda: browser.difference("photo") > 0.1)
        browser.settle()
        browser.shot("keyboard-slider")
        browser.press(Keys.DELETE)
        self.assertEqual(browser.strength("Smiling"), 0)
        browser.press(Keys.CONTROL, "z")
        self.assertLess(browser.strength("Smiling"), 0)
        browser.press("/")
        self.assertEqual(browser.focused(), "search")
        browser.press("glasses")
        tab_to("row-Eyeglasses")
        browser.press(Keys.END)
        self.assertEqual((browser.strength("Eyeglasses"), browser.text("change-count")), (3, "2 changes"))
        browser.press("c")
        self.assertTrue(browser.is_shown("divider"))
        browser.press("?")
        self.assertTrue(browser.is_shown("shortcuts"))
        browser.shot("keyboard-shortcuts")
        browser.press(Keys.ESCAPE)
        self.assertFalse(browser.is_shown("shortcuts"))
        self.assertEqual(browser.focused(), "row-Eyeglasses")
        # In the search box letters are letters.
        browser.press("/")
        browser.press("c")
        self.assertTrue(browser.is_shown("divider"))

    def test_a_phones_width(self):
        for width in (390, 320):
            browser.open(server.url, width=width, height=780, phone=True)
            browser.settle()
            self.assert_fits(width)
            browser.shot(f"phone-{width}-start")
            browser.sample()
            self.assert_fits(width)
            browser.keep("photo")
            browser.shot(f"phone-{width}-edit")
            for attribute in ("Smiling", "Young", "Eyeglasses"):
                slider = browser.slider(attribute)
                browser.js("arguments[0].scrollIntoView({ block: 'center' })", slider)
                box = slider.rect
                self.assertTrue(0 <= box["x"] and box["x"] + box["width"] <= width, box)
                # A finger that presses it meets it, not something above it.
                x, y = browser.middle(slider)
                x += 0.4 * box["width"]
                met = browser.js("return document.elementFromPoint(...arguments).id", x, y)
                self.assertEqual(met, f"row-{attribute}")
                self.assertGreaterEqual(box["height"], 24)
            browser.cdp("Input.dispatchTouchEvent", type="touchStart", touchPoints=[{"x": x, "y": y}])
            browser.cdp("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
            browser.wait("the slider", lambda: browser.strength("Eyeglasses") > 1)
            browser.wait("the preview", lambda: browser.difference("photo") > 0.3)
            browser.settle()
            browser.shot(f"phone-{width}-edited")
            self.assert_fits(width)
            browser.click("compare")
            browser.click("morph-mode")
            browser.settle()
            self.assert_fits(width)
            browser.shot(f"phone-{width}-morph")

    def assert_fits(self, width: int):
        """Nothing scrolls sideways, and each button that is shown lies on the screen."""
        wide, outside = browser.js("""
          const boxes = [...document.querySelectorAll("button:not(.tile), input")].filter((e) => e.checkVisibility())
            .map((e) => [e.id || e.className, e.getBoundingClientRect()]);
          const page = document.scrollingElement;
          if (page.scrollHeight !== innerHeight || page.scrollTop !== 0) return [0, ["the page scrolls"]];
          return [page.scrollWidth,
            boxes.filter(([, b]) => b.width && (b.left < -0.5 || b.right > innerWidth + 0.5)).map(([name]) => name)];
        """)
        self.assertEqual((wide, outside), (width, []))

    def test_no_serious_finding_of_accessibility(self):
        findings = []

        def check(name: str):
            browser.js(AXE)
            result = browser.driver.execute_async_script("""
              const done = arguments[arguments.length - 1];
              axe.run(document, { resultTypes: ["violations"] }).then(
                ({ violations, passes }) => done({ violations, passed: passes.length }),
                (error) => done({ error: String(error) }));
            """)
            self.assertNotIn("error", result)
            self.assertGreater(result["passed"], 15)
            findings.extend(
                f"{name}: {v['impact']} {v['id']}: {v['help']}: {[n['html'][:120] for n in v['nodes'][:3]]}"
                for v in result["violations"] if v["impact"] in ("serious", "critical"))
            browser.shot(f"accessible-{name}")

        dark = {"dark": True}
        for name, screen in [("light", {}), ("dark", dark), ("phone", PHONE), ("phone-dark", PHONE | dark)]:
            browser.open(server.url, **screen)
            browser.settle()
            check(f"{name}-start")
            browser.sample()
            browser.set("Smiling", Keys.HOME)
            browser.settle()
            check(f"{name}-edit")
            browser.click("compare")
            check(f"{name}-compare")
            browser.click("morph-mode")
            browser.settle()
            check(f"{name}-morph")
            browser.click("new-photo")
            browser.choose(self.save(photo_without_face((96, 72)), "wall.png"))
            browser.wait("the fault", lambda: browser.is_shown("start-problem"))
            check(f"{name}-fault")
            browser.js("document.getElementById('shortcuts').showModal()")
            check(f"{name}-shortcuts")
        self.assertEqual(findings, [])

    # --- The server

    def test_the_server_gone_and_back(self):
        global server
        self.open_sample()
        browser.keep("photo")
        browser.set("Smiling", Keys.HOME)
        browser.settle()
        browser.keep("edited")
        self.assertFalse(browser.is_shown("banner"))
        server.kill()
        browser.set("Eyeglasses", Keys.END)
        browser.wait("the banner", lambda: browser.is_shown("banner"))
        browser.shot("server-gone")
        self.assertIn("does not answer", browser.text("banner"))
        self.assertEqual((browser.strength("Smiling"), browser.strength("Eyeglasses")), (-3, 3))
        # The photo is still there, somewhat smaller under the banner.
        self.assertGreater(browser.js("const { left, right } = photoRange(); return right - left"), 300)
        sent = browser.calls().count("POST /api/photos/sample")
        server = Server(server.port)
        browser.wait("the banner to go", lambda: not browser.is_shown("banner"))
        browser.wait("the photo to be sent again", lambda: browser.calls().count("POST /api/photos/sample") == sent + 1)
        browser.wait("the preview of both edits", lambda: browser.difference("edited") > 0.3)
        browser.settle()
        browser.shot("server-back")
        self.assertEqual(browser.text("change-count"), "2 changes")
        browser.click("undo")
        browser.settle()
        self.assertLess(browser.difference("edited"), 0.1)
        browser.click("undo")
        browser.settle()
        self.assertLess(browser.difference("photo"), 0.1)

    def test_the_page_is_light_and_from_the_server_alone(self):
        browser.cdp("Network.enable")
        browser.cdp("Network.setCacheDisabled", cacheDisabled=True)
        browser.open(server.url)
        browser.settle()
        entries = browser.js("""
          return [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")]
            .map(({ name, transferSize }) => ({ name, transferSize }));
        """)
        browser.cdp("Network.setCacheDisabled", cacheDisabled=False)
        names = [entry["name"] for entry in entries]
        self.assertEqual([name for name in names if not name.startswith((server.url, "data:", "blob:"))], [])
        parts = [entry for entry in entries if "/api/photos" not in entry["name"]]
        for end in ("main.js", "studio.css", "attributes"):
            self.assertTrue(any(name.endswith(end) for name in names), end)
        weight = sum(part["transferSize"] for part in parts)
        print(f"page weight: {weight / 1000:.1f} kB in {len(parts)} requests")
        self.assertTrue(20_000 < weight <= 150_000, parts)
        self.assertEqual(browser.errors(), [])


if __name__ == "__main__":
    unittest.main()
