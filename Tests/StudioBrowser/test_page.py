"""The studio's page in a real browser, against the real server.

    FACET_PROGRAM=.build/debug/facet python -m unittest discover -s Tests/StudioBrowser

Screenshots of each step go to .build/studio-screenshots.
"""

import importlib.resources
import io
import json
import time
import unittest

from PIL import Image, ImageChops, ImageStat
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

from fixture import PHONE, SIDEWAYS, StudioTestCase
from studio import SAMPLE, Server, photo_of, photo_without_face

AXE = importlib.resources.files("axe_playwright_python").joinpath("axe.min.js").read_text()


class PageTests(StudioTestCase):
    def setUp(self):
        global browser, server, folder
        browser, server, folder = self.browser, self.server, self.folder

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
        # No verdicts unasked.
        self.assertFalse(browser.is_shown("row-Smiling-chance"))
        browser.js("document.getElementById('see').click()")
        self.assertGreater(browser.chance("Smiling"), 80)
        self.assertLess(browser.chance("Eyeglasses"), 20)
        for attribute in ("Young", "Male", "Chubby", "Pale_Skin"):
            browser.reveal(attribute)
            self.assertFalse(browser.is_shown(f"row-{attribute}-chance"))
        # One face needs no outline.
        self.assertFalse(browser.is_shown("faces"))
        self.assertFalse(browser.is_shown("toggle-faces"))
        self.assertEqual(browser.errors(), [])

    def test_outlines_lie_around_the_heads(self):
        browser.open(server.url)
        browser.choose(self.save(photo_of((480, 180), {(60, 10): 160, (300, 10): 160}), "two.png"))
        browser.wait_for_photo()
        # The outline lies around the head.
        x, y, width = browser.js("""
          const face = document.querySelector(".face").getBoundingClientRect();
          const port = document.getElementById("viewport").getBoundingClientRect();
          const scale = Math.min((port.width - 48) / 480, (port.height - 48) / 180);
          const left = port.left + port.width / 2 - 240 * scale, top = port.top + port.height / 2 - 90 * scale;
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
        chips = browser.driver.find_elements("css selector", ".face-chip")
        self.assertEqual([chip.get_attribute("aria-label") for chip in chips], ["Face 1", "Face 2"])
        # In the order in which one reads, each with its face.
        lefts = browser.js("""
          return [...document.querySelectorAll(".face-chip")].map((chip) =>
            document.querySelector(`.face[data-face="${chip.dataset.face}"]`).getBoundingClientRect().left);
        """)
        self.assertEqual(lefts, sorted(lefts))
        drawn = browser.js("""
          return [...document.querySelectorAll(".face-chip canvas")].map((canvas) =>
            new Set(canvas.getContext("2d").getImageData(0, 0, 80, 80).data).size > 50);
        """)
        self.assertEqual(drawn, [True, True])
        chips[1].click()
        self.assertEqual(chips[1].get_attribute("aria-pressed"), "true")
        browser.set("Smiling", Keys.HOME)
        browser.settle()
        browser.shot("two-faces")
        other, edited = browser.difference("photo", 0, 0.5), browser.difference("photo", 0.5, 1)
        self.assertGreater(edited, 0.7)
        self.assertLess(other, 0.3)
        # The face that was edited is marked, and the count says where the change is.
        self.assertEqual([chip.get_attribute("aria-label") for chip in chips], ["Face 1", "Face 2, edited"])
        self.assertEqual(browser.text("change-count"), "1 change in 1 face")
        browser.click("all-faces")
        browser.set("Eyeglasses", Keys.END)
        browser.settle()
        browser.shot("all-faces")
        self.assertEqual(browser.text("change-count"), "3 changes in 2 faces")
        self.assertGreater(browser.difference("photo", 0, 0.5), 0.7)
        # Many faces stand in one row.
        height = browser.js("""
          const picker = document.getElementById("face-picker");
          for (let count = 0; count < 24; count += 1) picker.append(picker.lastChild.cloneNode(true));
          return picker.offsetHeight;
        """)
        self.assertLess(height, 70)

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
        browser.js("document.getElementById('see').click()")
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
        self.assertTrue(-0.9 <= strength < -0.65, strength)
        self.assertTrue(browser.id("undo").is_enabled())
        self.assertEqual(browser.text("change-count"), "1 change")
        self.assertGreater(browser.difference_in_face("photo"), 0.7)
        # The percentages are measured again: the model reads a smile off folds that stay, too.
        after = browser.chance("Smiling")
        self.assertLess(after, before)
        self.assertRegex(browser.text("row-Smiling-chance"), rf"sees it: {after} %, in the photo .*{before} %")
        percent = round(-100 * strength)
        self.assertEqual(slider.get_attribute("aria-valuetext"), f"Serious {percent} %")
        self.assertEqual(browser.css(".row.changed .row-value").get_property("value"), f"−{percent}")
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
        self.assertEqual(state(), (-1, 1))
        # The slider that was moved first goes back by its own undo, and the other stays.
        browser.click_in_panel("[aria-label='Undo Smile']")
        self.assertEqual(state(), (0, 1))
        self.assertFalse(browser.css("[aria-label='Undo Smile']").is_enabled())
        browser.click("undo")
        self.assertEqual(state(), (-1, 1))
        browser.press(Keys.CONTROL, "z")
        self.assertEqual(state(), (-1, 0))
        browser.click("undo")
        self.assertEqual(state(), (0, 0))
        self.assertFalse(browser.id("undo").is_enabled())
        browser.settle()
        browser.shot("undo-after")
        self.assertLess(browser.difference("photo"), 0.1)
        browser.click("redo")
        browser.press(Keys.CONTROL, Keys.SHIFT, "z")
        self.assertEqual(state(), (-1, 1))
        browser.settle()
        self.assertLess(browser.difference("both"), 0.1)
        browser.click("reset-all")
        self.assertEqual(state(), (0, 0))
        browser.click("undo")
        self.assertEqual(state(), (-1, 1))
        browser.click_in_panel("[aria-label='Reset Smile']")
        self.assertEqual(state(), (0, 1))

    def test_compare(self):
        self.open_sample()
        browser.keep("before")
        browser.set("Eyeglasses", Keys.END)
        browser.settle()
        browser.keep("after")
        self.assertGreater(browser.difference_in_face("before"), 1)
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
        # The same by pressing the photo.
        x, y = browser.middle(browser.id("viewport"))
        browser.mouse("Pressed", x, y)
        browser.wait("the photo before", lambda: browser.difference("before") < 0.05)
        browser.mouse("Released", x, y)
        browser.wait("the photo after", lambda: browser.difference("after") < 0.05)
        browser.press("c")
        browser.click("side-by-side")
        browser.settle()
        halves = browser.js("""
          const canvas = document.getElementById("canvas");
          const half = canvas.width >> 1;
          const [a, b] = [0, half].map((x) => canvas.getContext("2d").getImageData(x, 0, half, canvas.height).data);
          let [sum, count] = [0, 0];
          for (let i = 0; i < a.length; i += 4) if (a[i + 3]) { sum += Math.abs(a[i] - b[i]); count += 1; }
          return [sum / count, count / a.length * 4];
        """)
        browser.shot("side-by-side")
        self.assertTrue(0.2 < halves[0] < 20 and halves[1] > 0.2, halves)
        browser.click("side-by-side")
        browser.press("c")
        with browser.holding("b"):
            browser.wait("the photo before", lambda: browser.difference("before") < 0.05)
            browser.shot("compare-held")
        browser.wait("the photo after", lambda: browser.difference("after") < 0.05)

    def test_the_strip_and_the_looks(self):
        self.open_sample()
        browser.keep("photo")
        tiles = browser.driver.find_elements("css selector", ".tile")
        texts = [tile.text for tile in tiles]
        # The sample smiles: the strip leads with what shows something.
        self.assertEqual(texts, ["No glasses", "−50", "As is", "+50", "Glasses"])
        pressed = [tile for tile in tiles if tile.get_attribute("aria-pressed") == "true"]
        self.assertEqual(pressed, [tiles[2]])
        tiles[4].click()
        browser.settle()
        self.assertEqual(browser.strength("Eyeglasses"), 1)
        self.assertEqual(tiles[4].get_attribute("aria-pressed"), "true")
        self.assertGreater(browser.difference_in_face("photo"), 1)
        browser.keep("one")
        looks = browser.driver.find_elements("css selector", ".look")
        self.assertTrue(5 <= len(looks) <= 10)
        # All looks at once; the strip may be asked for again when it is given up.
        self.assertLessEqual(len([call for call in browser.calls() if call.endswith("tiles")]), 5)
        pictures = browser.js("""
          return [...document.querySelectorAll(".look canvas")].map((canvas) => canvas.toDataURL().length);
        """)
        self.assertTrue(all(size > 3000 for size in pictures), pictures)
        # Pictures of another attribute are grey at once, until its own are there.
        is_grey = "return document.getElementById('tiles').classList.contains('stale')"
        self.assertFalse(browser.js(is_grey))
        self.assertTrue(browser.js("document.getElementById('row-Young').focus(); " + is_grey))
        browser.wait("the strip", "return !(() => { " + is_grey + " })()")
        look = next(look for look in looks if look.text == "Serious")
        look.click()
        browser.settle()
        browser.shot("look")
        self.assertEqual(look.get_attribute("aria-pressed"), "true")
        self.assertEqual((browser.strength("Smiling"), browser.text("change-count")), (-1, "2 changes"))
        self.assertGreater(browser.difference("one"), 0.1)
        self.assertEqual(browser.text("spectrum-title"), "Smile")
        # A look of one's own.
        browser.click("look-save")
        browser.id("question-answer").send_keys("Professor", Keys.ENTER)
        browser.wait("the look", "return document.querySelectorAll('.look-own').length === 1")
        browser.settle()
        browser.js("document.querySelector('.look-file').id = 'look-file'")
        file = self.saved("Professor.json", "look-file")
        saved = {edit["attribute"]: edit["strength"] for edit in json.loads(file.read_text())["edits"]}
        self.assertEqual(saved, {"Smiling": -1, "Eyeglasses": 1})
        browser.click("reset-all")
        browser.settle()
        self.assertLess(browser.difference("photo"), 0.1)
        browser.css(".look-own .look").click()
        self.assertEqual((browser.strength("Smiling"), browser.strength("Eyeglasses")), (-1, 1))
        browser.driver.refresh()
        browser.wait("the own look", "return document.querySelectorAll('.look-own').length === 1")
        browser.wait_for_photo()
        browser.css(".look-remove").click()
        self.assertEqual(browser.driver.find_elements("css selector", ".look-own"), [])

    def test_nothing_goes_beyond_twice_and_the_ends_have_names(self):
        self.open_sample()
        row = lambda attribute: browser.js("return arguments[0].closest('.row')", browser.slider(attribute))
        ends = lambda attribute: [e.text for e in row(attribute).find_elements("css selector", ".row-end")]
        self.assertEqual(ends("Young"), ["Older", "Younger"])
        self.assertEqual(ends("Black_Hair"), ["Lighter hair", "Black hair"])
        further = row("Young").find_element("css selector", ".row-further")
        self.assertFalse(further.is_displayed())
        browser.set("Young", Keys.HOME)
        self.assertEqual(browser.strength("Young"), -1)
        further.click()
        browser.press(Keys.HOME)
        self.assertEqual(browser.strength("Young"), -2)
        browser.settle()
        browser.shot("further")
        # A number can be typed, and an end chosen.
        value = row("Young").find_element("css selector", ".row-value")
        value.click()
        value.send_keys("-35", Keys.ENTER)
        self.assertAlmostEqual(browser.strength("Young"), -0.35)
        value.click()
        value.send_keys("900", Keys.ENTER)
        self.assertEqual(browser.strength("Young"), 2)
        row("Black_Hair").find_element("css selector", ".row-end").click()
        self.assertEqual(browser.strength("Black_Hair"), -1)
        labels = browser.js("return [...document.querySelectorAll('#groups .range')].map((e) => e.id)")
        self.assertNotIn("row-Attractive", labels)
        self.assertNotIn("Pale", browser.js("return document.getElementById('looks').textContent"))
        self.assertEqual(browser.errors(), [])

    def test_search_knows_what_people_say(self):
        self.open_sample()
        shown = lambda: browser.js("""
          return [...document.querySelectorAll(".row .range")].filter((e) => e.checkVisibility()).map((e) => e.id.slice(4));
        """)
        self.assertEqual(shown(), ["Smiling", "Eyeglasses", "Black_Hair", "Hair", "Heavy_Makeup", "Young"])
        for word, wanted in [
            ("smile", "Smiling"), ("age", "Young"), ("older", "Young"), ("gender", "Male"), ("woman", "Male"), ("happy", "Smiling"),
            ("sad", "Smiling"), ("wrinkles", "Young"), ("teeth", "Mouth_Slightly_Open"), ("hair colour", "Blond_Hair"), ("fringe", "Bangs"),
            ("sunglasses", "Eyeglasses"), ("skin tone", "Pale_Skin"), ("glasses", "Eyeglasses"), ("beard", "Goatee"), ("make-up", "Heavy_Makeup"),
        ]:
            browser.js("const e = document.getElementById('search'); e.value = arguments[0]; e.dispatchEvent(new Event('input'))", word)
            self.assertIn(wanted, shown(), word)
            self.assertLess(len(shown()), 12, word)
        browser.shot("search")
        browser.js("const e = document.getElementById('search'); e.value = ''; e.dispatchEvent(new Event('input'))")
        browser.click("search")
        browser.press("wrinkles")
        browser.press(Keys.ENTER)
        self.assertEqual(browser.focused(), "row-Young")
        browser.press("/")
        browser.press("qqq")
        self.assertEqual(shown(), [])
        browser.press(Keys.ESCAPE)
        self.assertEqual(len(shown()), 6)

    def test_a_wish_in_words(self):
        self.open_sample()
        browser.keep("photo")
        browser.press("p")
        self.assertEqual(browser.focused(), "prompt")
        browser.press("a bit older, glasses, no beard and purple")
        wishes = lambda: browser.js("return [...document.querySelectorAll('.wish')].map((e) => e.textContent)")
        browser.wait("what was understood", lambda: len(wishes()) == 3)
        self.assertEqual(wishes(), ["Older 50 %", "Glasses 100 %", "Clean-shaven 100 %"])
        self.assertIn("purple", browser.text("understood"))
        self.assertEqual(browser.text("change-count"), "No changes")
        browser.shot("prompt")
        browser.press(Keys.ENTER)
        browser.wait("the edits", lambda: browser.text("change-count") == "3 changes")
        self.assertEqual([browser.strength(name) for name in ("Young", "Eyeglasses", "No_Beard")], [-0.5, 1, 1])
        browser.wait("the preview", lambda: browser.difference("photo") > 0.3)
        # One wish is one step.
        browser.click("undo")
        self.assertEqual(browser.text("change-count"), "No changes")

    def test_zoom(self):
        browser.open(server.url)
        # A face that is small is shown large.
        photo = photo_of((1600, 1200), {(1200, 800): 120})
        browser.choose(self.save(photo, "small-face.png"))
        browser.wait_for_photo()
        percent = lambda: int(browser.text("zoom-level").split()[0])
        opened = percent()
        browser.shot("small-face")
        browser.press("0")
        fitted = percent()
        self.assertGreater(opened, 2.5 * fitted)
        browser.settle()
        browser.keep("fit")
        browser.press("1")
        self.assertEqual(percent(), 100)
        browser.press("f")
        self.assertGreater(percent(), 2.5 * fitted)
        browser.press("f")
        self.assertEqual(percent(), fitted)
        # Zooming in keeps the face in sight.
        for _ in range(5):
            browser.press("+")
        browser.settle()
        x, y, width, height = browser.js("""
          const face = document.querySelector("#faces").hidden = false;
          const box = document.querySelector(".face").getBoundingClientRect();
          const port = document.getElementById("viewport").getBoundingClientRect();
          return [box.left - port.left, box.top - port.top, port.width, port.height];
        """)
        self.assertTrue(0 < x < width and 0 < y < height, (x, y))
        browser.press("0")
        browser.settle()
        self.assertLess(browser.difference("fit"), 0.3)

    def test_morph_with_a_random_face(self):
        self.open_sample()
        browser.click("morph-mode")
        browser.click("morph-random")
        browser.wait("the morph", lambda: "POST api/morph" in browser.calls())
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
            kind = "JPEG" if name != "portrait" else "PNG"
            file = self.saved(f"{name}-edited.{'jpg' if kind == 'JPEG' else 'png'}", "download")
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
        self.assertEqual(tab_to("sample")[-2:], ["choose", "sample"])
        browser.shot("keyboard-start")
        browser.press(Keys.ENTER)
        browser.wait_for_photo()
        self.assertEqual(browser.focused(), "viewport")
        browser.keep("photo")
        browser.press("0")
        fitted = browser.text("zoom-level")
        browser.press("+")
        browser.wait("zoom", lambda: browser.text("zoom-level") != fitted)
        browser.press("0")
        browser.wait("the whole photo", lambda: browser.text("zoom-level") == fitted, seconds=10)
        path = tab_to("row-Smiling", 60)
        self.assertLess(path.index("prompt"), path.index("search"))
        self.assertLess(path.index("search"), path.index("row-Smiling"))
        for _ in range(5):
            browser.press(Keys.ARROW_LEFT)
        self.assertAlmostEqual(browser.strength("Smiling"), -0.25, delta=0.01)
        browser.wait("the preview", lambda: browser.difference_in_face("photo") > 0.2)
        browser.settle()
        browser.shot("keyboard-slider")
        browser.press(Keys.DELETE)
        self.assertEqual(browser.strength("Smiling"), 0)
        browser.press(Keys.CONTROL, "z")
        self.assertLess(browser.strength("Smiling"), 0)
        browser.press("/")
        self.assertEqual(browser.focused(), "search")
        browser.press("eyeglasses")
        browser.press(Keys.ENTER)
        self.assertEqual(browser.focused(), "row-Eyeglasses")
        browser.press(Keys.END)
        self.assertEqual((browser.strength("Eyeglasses"), browser.text("change-count")), (1, "2 changes"))
        browser.press("c")
        self.assertTrue(browser.is_shown("divider"))
        browser.press("?")
        self.assertTrue(browser.is_shown("help"))
        browser.shot("keyboard-shortcuts")
        browser.press(Keys.ESCAPE)
        self.assertFalse(browser.is_shown("help"))
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
            # The strip has its title and all its tiles, and nothing lies on the photo.
            self.assertEqual(browser.text("spectrum-title"), "Glasses")
            self.assertTrue(browser.is_shown("spectrum-title"))
            tiles = [tile.rect for tile in browser.driver.find_elements("css selector", ".tile")]
            self.assertTrue(all(0 <= tile["x"] and tile["x"] + tile["width"] <= width for tile in tiles), tiles)
            photo, tools = browser.id("viewport").rect, browser.css(".zoom").rect
            self.assertLessEqual(photo["y"] + photo["height"], tools["y"] + 1)
            self.assertEqual(browser.is_shown("history-open"), width > 380)
            for attribute in ("Smiling", "Young", "Eyeglasses"):
                browser.reveal(attribute)
                box = browser.slider(attribute).rect
                self.assertTrue(0 <= box["x"] and box["x"] + box["width"] <= width, box)
                # A finger that presses it meets its track, not something above it.
                x, y = browser.middle(browser.slider(attribute))
                met = browser.js("return document.elementFromPoint(...arguments).firstChild?.id", x, y)
                self.assertEqual(met, f"row-{attribute}")
                self.assertGreaterEqual(box["height"], 24)
            browser.touch("Start", (x, y))
            for step in range(1, 11):
                browser.touch("Move", (x + 0.045 * step * box["width"], y))
            browser.touch("End")
            browser.wait("the slider", lambda: browser.strength("Eyeglasses") > 0.5)
            self.assert_touchable(f"phone-{width}")
            browser.wait("the preview", lambda: browser.difference_in_face("photo") > 0.5)
            browser.settle()
            browser.shot(f"phone-{width}-edited")
            self.assert_fits(width)
            browser.click("compare")
            browser.click("morph-mode")
            browser.settle()
            self.assert_fits(width)
            browser.shot(f"phone-{width}-morph")
            # Nobody drops or pastes with a finger.
            words = browser.js("return [...document.querySelectorAll('p')].filter((e) => e.checkVisibility()).map((e) => e.textContent)")
            self.assertFalse([text for text in words if "drop" in text.lower()])

    def test_no_serious_finding_of_accessibility(self):
        findings = []

        def check(name: str):
            if not browser.js("return 'axe' in window"):
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
            if name.startswith(("phone", "sideways")):
                self.assert_touchable(name)
            browser.shot(f"accessible-{name}")

        dark = {"dark": True}
        for name, screen in [("light", {}), ("dark", dark), ("phone", PHONE), ("sideways-dark", SIDEWAYS | dark)]:
            browser.open(server.url, **screen)
            browser.settle()
            check(f"{name}-start")
            browser.sample()
            browser.set("Smiling", Keys.HOME)
            browser.settle()
            check(f"{name}-edit")
            browser.click("protect")
            browser.wait("the brush", "return document.body.classList.contains('protecting')")
            check(f"{name}-brush")
            browser.click("brush-done")
            browser.click("compare")
            check(f"{name}-compare")
            browser.click("morph-mode")
            browser.settle()
            check(f"{name}-morph")
            browser.click("new-photo")
            browser.choose(self.save(photo_without_face((96, 72)), "wall.png"))
            browser.wait("the fault", lambda: browser.is_shown("start-problem"))
            check(f"{name}-fault")
            browser.js("document.getElementById('help').showModal()")
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
        self.assertEqual((browser.strength("Smiling"), browser.strength("Eyeglasses")), (-1, 1))
        # The photo is still there, somewhat smaller under the banner.
        self.assertGreater(browser.js("const { left, right } = photoRange(); return right - left"), 300)
        sent = browser.calls().count("POST api/photos/sample")
        server = StudioTestCase.server = Server(server.port)
        browser.wait("the banner to go", lambda: not browser.is_shown("banner"))
        browser.wait("the photo to be sent again", lambda: browser.calls().count("POST api/photos/sample") == sent + 1)
        browser.wait("the preview of both edits", lambda: browser.difference_in_face("edited") > 1)
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
        # What it keeps for itself is asked for later, and answers nothing now.
        browser.cdp("Network.setBypassServiceWorker", bypass=True)
        browser.open(server.url)
        browser.settle()
        entries = browser.js("""
          return [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")]
            .map(({ name, transferSize }) => ({ name, transferSize }));
        """)
        browser.cdp("Network.setBypassServiceWorker", bypass=False)
        browser.cdp("Network.setCacheDisabled", cacheDisabled=False)
        names = [entry["name"] for entry in entries]
        self.assertEqual([name for name in names if not name.startswith((server.url, "data:", "blob:"))], [])
        parts = [entry for entry in entries if "/api/photos" not in entry["name"]]
        for end in ("main.js", "studio.css", "attributes"):
            self.assertTrue(any(end in name for name in names), end)
        weight = sum(part["transferSize"] for part in parts)
        print(f"page weight: {weight / 1000:.1f} kB in {len(parts)} requests")
        self.assertTrue(20_000 < weight <= 160_000, parts)
        self.assertEqual(browser.errors(), [])


if __name__ == "__main__":
    unittest.main()
