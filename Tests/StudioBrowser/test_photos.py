"""Several photos, what is kept of them, and the ways out of the studio."""

import io
import zipfile

from PIL import Image, ImageChops
from selenium.webdriver.common.keys import Keys

from fixture import StudioTestCase
from studio import photo_of


class PhotosTests(StudioTestCase):
    def open_several(self):
        """Two photos at once, as a person chooses them."""
        browser = self.browser
        browser.open(self.server.url)
        files = [self.save(photo_of((240, 180), {(60, 10): 160}), "one.png"), self.save(photo_of((200, 200), {(20, 20): 160}), "two.png")]
        browser.id("file").send_keys("\n".join(map(str, files)))
        browser.wait_for_photo()
        browser.wait("both photos", "return document.querySelectorAll('.tray-photo').length === 2")
        browser.settle()

    def test_each_photo_keeps_its_edits(self):
        browser = self.browser
        self.open_several()
        photos = browser.driver.find_elements("css selector", ".tray-photo")
        self.assertEqual(browser.text("file-name"), "one.png")
        browser.set("Eyeglasses", Keys.END)
        browser.settle()
        # What the strip and the looks show is the last photo's, and they say so at once.
        marks = "return ['tiles', 'looks'].map((id) => document.getElementById(id).classList.contains('stale'))"
        self.assertEqual(browser.js(f"arguments[0].click(); {marks}", photos[1]), [True, True])
        browser.settle()
        self.assertEqual(browser.js(marks), [False, False])
        self.assertEqual((browser.text("file-name"), browser.strength("Eyeglasses")), ("two.png", 0))
        self.assertFalse(browser.id("undo").is_enabled())
        browser.set("Smiling", Keys.HOME)
        browser.settle()
        browser.shot("tray")
        browser.driver.find_element("css selector", ".tray-photo").click()
        browser.settle()
        self.assertEqual((browser.strength("Eyeglasses"), browser.strength("Smiling")), (1, 0))
        self.assertTrue(browser.id("undo").is_enabled())
        # A reload brings back both, with their history.
        browser.keep("edited")
        browser.driver.refresh()
        browser.wait_for_photo()
        browser.wait("both photos", "return document.querySelectorAll('.tray-photo').length === 2")
        self.assertEqual((browser.text("file-name"), browser.strength("Eyeglasses")), ("one.png", 1))
        browser.click("undo")
        self.assertEqual(browser.strength("Eyeglasses"), 0)
        browser.click("redo")
        # Edits do not go unasked.
        close = browser.css(".tray li:first-child .tray-close")
        browser.js("arguments[0].click()", close)
        browser.wait("the question", lambda: browser.is_shown("question"))
        self.assertIn("one.png", browser.text("question-text"))
        browser.press(Keys.ESCAPE)
        self.assertEqual(len(browser.driver.find_elements("css selector", ".tray-photo")), 2)
        self.assertTrue(browser.js("""
          const event = new Event("beforeunload", { cancelable: true });
          dispatchEvent(event);
          return event.defaultPrevented;
        """))

    def test_all_photos_as_a_zip_file(self):
        browser = self.browser
        self.open_several()
        browser.set("Eyeglasses", Keys.END)
        browser.settle()
        browser.open_sheet()
        browser.shot("export-several")
        self.assertIn("place", browser.text("export-says"))
        browser.css(".all-photos input").click()
        with zipfile.ZipFile(self.saved("facet-photos.zip", "export-saveZip")) as archive:
            self.assertIsNone(archive.testzip())
            self.assertEqual(sorted(archive.namelist()), ["one-edited.png", "two-edited.png"])
            for name, size in [("one-edited.png", (240, 180)), ("two-edited.png", (200, 200))]:
                with Image.open(io.BytesIO(archive.read(name))) as picture:
                    self.assertEqual(picture.size, size)

    def test_styles_and_colours(self):
        browser = self.browser
        self.open_sample()
        browser.keep("photo")
        browser.click_in_panel("[aria-label='Styles of Hair colour'] [title='Pink']")
        browser.settle()
        self.assertEqual(browser.strength("Hair"), 1)
        self.assertGreater(browser.difference("photo"), 1)
        browser.keep("pink")
        browser.shot("pink")
        # Any other colour, at the strength that there is.
        browser.set("Hair", Keys.ARROW_LEFT)
        browser.js("""
          const any = document.querySelector("#row-Hair").closest(".row").querySelector("input[type=color]");
          any.value = "#3f5f96";
          any.dispatchEvent(new Event("change"));
        """)
        browser.settle()
        self.assertEqual(browser.strength("Hair"), 0.95)
        self.assertGreater(browser.difference("pink"), 0.5)
        self.assertFalse(browser.driver.find_elements("css selector", ".swatch[aria-pressed=true]"))
        # Strengths of a colour have one side.
        browser.set("Hair", Keys.HOME)
        self.assertEqual(browser.strength("Hair"), 0)
        browser.settle()
        self.assertLess(browser.difference("photo"), 0.1)
        browser.click("undo")
        browser.reveal("Eyeglasses")
        browser.focus("Eyeglasses")
        browser.click_in_panel("[aria-label='Styles of Glasses'] [title='Round metal']")
        browser.settle()
        self.assertEqual(browser.text("change-count"), "2 changes")
        self.assertEqual([error for error in browser.errors()], [])
        browser.open_sheet()
        self.assertIn("--attribute 'Hair=#3f5f96:0.95' --attribute Eyeglasses=round-metal -o", browser.css(".command code").text)
        # A link brings them along.
        browser.open(f"{self.server.url}#edit=Hair:0.5:%233f5f96,Eyeglasses:1:rimless,Eyeglasses:1:monocle")
        self.assertIn("Glasses (Rimless) 100 %", browser.text("start-lead"))
        browser.sample()
        self.assertEqual((browser.strength("Hair"), browser.strength("Eyeglasses")), (0.5, 1))
        pressed = browser.css("[aria-label='Styles of Glasses'] [aria-pressed=true]")
        self.assertEqual(pressed.get_attribute("title"), "Rimless")

    def test_format_and_size_and_the_edit_as_text(self):
        browser = self.browser
        self.open_sample()
        browser.set("Eyeglasses", Keys.END)
        browser.set("Young", Keys.HOME)
        browser.settle()
        browser.open_sheet()
        self.assertIn("--attribute Eyeglasses=1 --attribute Young=-1 -o", browser.css(".command code").text)
        browser.js("document.getElementById('export-format').value = 'webp'")
        browser.js("document.getElementById('export-format').dispatchEvent(new Event('change'))")
        with Image.open(self.saved("Sample portrait-edited.webp", "export-savePhoto")) as picture:
            self.assertEqual((picture.format, picture.size), ("WEBP", (512, 512)))
        browser.js("""
          navigator.canShare = ({ files } = { files: [] }) => files.length < 2;
          navigator.share = async ({ files: [file] }) => { window.shared = [file.name, file.type]; };
        """)
        browser.open_sheet()
        browser.click("export-share")
        self.assertEqual(browser.wait("the shared file", "return window.shared"), ["Sample portrait-edited.jpg", "image/jpeg"])
        with Image.open(self.saved("Sample portrait-before-after.webp", "export-format-webp")) as film:
            self.assertGreater(film.n_frames, 10)
            first = film.convert("RGB")
            film.seek(film.n_frames // 2)
            self.assertGreater(max(high for _, high in ImageChops.difference(first, film.convert("RGB")).getextrema()), 60)
        browser.press(Keys.ESCAPE)
        browser.cdp("Browser.grantPermissions", permissions=["clipboardReadWrite", "clipboardSanitizedWrite"])
        browser.press(Keys.CONTROL, "c")
        browser.wait("the copy", lambda: "Picture copied" in browser.text("toast"))
        self.assertEqual(browser.later("""
          const [item] = await navigator.clipboard.read();
          const { width, height } = await createImageBitmap(await item.getType("image/png"));
          return [width, height];
        """), [512, 512])
        # A link brings the edit to the next photo.
        browser.open(f"{self.server.url}#edit=Eyeglasses:1,Young:-0.5,Nothing:1")
        self.assertIn("Older 50 %", browser.text("start-lead"))
        browser.sample()
        self.assertEqual((browser.strength("Eyeglasses"), browser.strength("Young")), (1, -0.5))
        # The history names its steps and goes to them.
        browser.set("Black_Hair", Keys.END)
        browser.click("history-open")
        steps = browser.driver.find_elements("css selector", ".step")
        self.assertEqual([step.text for step in steps][::2], ["As opened", "Black hair 100 %"])
        browser.shot("history")
        steps[0].click()
        self.assertEqual(browser.text("change-count"), "No changes")

    def test_a_morph_of_two_faces_of_one_photo(self):
        browser = self.browser
        browser.open(self.server.url)
        browser.choose(self.save(photo_of((320, 150), {(0, 0): 150, (165, 0): 150}), "pair.png"))
        browser.wait_for_photo()
        browser.set("Eyeglasses", Keys.END)
        browser.settle()
        browser.click("morph-mode")
        browser.wait("the other face", "return document.querySelectorAll('#morph-faces .face-chip').length === 1")
        browser.js("""
          const send = window.fetch;
          window.fetch = (path, options) => {
            if (path.endsWith("morph")) window.asked = JSON.parse(options.body);
            return send(path, options);
          };
        """)
        browser.css("#morph-faces .face-chip").click()
        browser.wait("the morph", lambda: browser.id("morph-at").is_enabled())
        # It begins with the face as it was edited.
        self.assertEqual([edit["attribute"] for edit in browser.js("return asked.from.edits")], ["Eyeglasses"])
        browser.js("arguments[0].focus()", browser.id("morph-at"))
        browser.press(Keys.HOME)
        browser.keep("first")
        browser.press(Keys.END)
        browser.wait("the second face", lambda: browser.difference("first") > 0.5)
        browser.shot("morph-one-photo")
        formats = browser.js("return [...document.getElementById('morph-format').options].map((o) => o.value)")
        self.assertLessEqual({"webp", "gif"}, set(formats))

    def test_spanish(self):
        browser = self.browser
        browser.open(self.server.url)
        browser.js("localStorage.setItem('facet-language', 'es')")
        browser.driver.refresh()
        browser.wait("the sliders", "return document.querySelectorAll('#groups .range').length >= 35")
        self.assertEqual(browser.js("return document.documentElement.lang"), "es")
        browser.sample()
        self.assertEqual(browser.css(".row-end").text, "Serio")
        browser.click("prompt")
        browser.press("sin gafas, mayor")
        browser.wait("what was understood", "return document.querySelectorAll('.wish').length === 2")
        browser.shot("spanish")
        browser.click("compare")
        self.assertRegex(browser.id("divider").get_attribute("aria-valuetext"), r"^\d+ % antes, \d+ % después$")
        untranslated = browser.js(r"""
          return [...document.querySelectorAll("button, h2, p, label")].filter((e) => e.checkVisibility())
            .map((e) => e.textContent.trim()).filter((text) => /\b(the|photo|Undo|Save|Looks|Adjust)\b/.test(text));
        """)
        self.assertEqual(untranslated, [])
