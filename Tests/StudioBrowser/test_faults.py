"""What once went wrong for people, one test each."""

import os
import signal
import time

from PIL import Image
from selenium.webdriver.common.keys import Keys

from fixture import MAGNIFIED, PHONE, SIDEWAYS, StudioTestCase
from studio import Server, photo_of


class FaultTests(StudioTestCase):
    def pair(self) -> Image.Image:
        return photo_of((320, 150), {(0, 0): 150, (165, 0): 150})

    def trio(self) -> Image.Image:
        return photo_of((900, 300), {(30, 60): 180, (360, 60): 180, (690, 60): 180})

    def test_a_server_with_a_token(self):
        token = "0123456789abcdefgh"
        (self.folder / "token").write_text(token)
        server = Server(0, "--token-file", str(self.folder / "token"))
        try:
            browser = self.browser
            browser.open(f"{server.url}#token={token}")
            browser.sample()
            browser.keep("photo")
            browser.set("Eyeglasses", Keys.END)
            browser.wait("the preview", lambda: browser.difference_in_face("photo") > 1)
            self.assertNotIn(token, browser.js("return location.href"))
            # Without it the page asks, and says when it is the wrong one.
            browser.leave()
            browser.driver.get(server.url)
            browser.wait("the question", lambda: browser.is_shown("token"))
            browser.id("token-text").send_keys("not the token at all", Keys.ENTER)
            browser.wait("the answer", lambda: "not the token" in browser.text("token-why") and browser.is_shown("token"))
            browser.shot("token")
            browser.id("token-text").send_keys(token, Keys.ENTER)
            browser.wait("the sliders", "return document.querySelectorAll('#groups .range').length >= 35")
            browser.sample()
        finally:
            browser.leave()
            server.kill()

    def test_plain_http_from_another_device(self):
        browser = self.browser
        browser.open(self.server.foreign_url)
        self.assertFalse(browser.js("return isSecureContext"))
        self.assertIn("studio.test", browser.text("where"))
        browser.click("camera-open")
        browser.wait("the reason", lambda: "https" in browser.text("camera-problem"))
        browser.click("camera-cancel")
        browser.sample()
        browser.keep("photo")
        browser.set("Eyeglasses", Keys.END)
        browser.wait("the preview", lambda: browser.difference_in_face("photo") > 1)
        browser.press(Keys.CONTROL, "c")
        browser.wait("the reason", lambda: "https" in browser.text("toast"))
        # A morph needs nothing that such pages lack.
        browser.click("morph-mode")
        browser.click("morph-random")
        browser.wait("the morph", lambda: browser.id("morph-at").is_enabled())
        # A header that browsers heed on secure origins alone.
        self.assertEqual([error for error in browser.errors() if "Cross-Origin-Opener-Policy" not in error], [])
        browser.open(self.server.url)
        self.assertIn("this machine", browser.text("where"))

    def test_a_morph_keeps_its_proportions(self):
        browser = self.browser
        self.open_photo(photo_of((600, 300), {(200, 60): 200}), "wide.png")
        calls = len(browser.calls())
        browser.click("morph-mode")
        is_square = lambda: (lambda box: box[2] > 100 and abs(box[2] - box[3]) <= 2)(browser.photo_box())
        browser.wait("the face", is_square, seconds=30)
        browser.shot("morph-first-face")
        for _ in range(10):
            self.assertTrue(is_square())
            time.sleep(0.05)
        browser.click("morph-random")
        browser.wait("the morph", lambda: browser.id("morph-at").is_enabled())
        browser.click("morph-play")
        browser.press("0")
        browser.cdp("Emulation.setDeviceMetricsOverride", width=1200, height=800, mobile=False, deviceScaleFactor=1)
        time.sleep(1)
        self.assertTrue(is_square(), browser.photo_box())
        browser.shot("morph-resized")
        # The preview of the photo slept.
        self.assertEqual([call for call in browser.calls()[calls:] if "preview" in call or "size=1024" in call], [])
        browser.click("morph-mode")
        browser.wait("the photo", lambda: abs(browser.photo_box()[2] / browser.photo_box()[3] - 2) < 0.05)

    def test_a_finger_that_scrolls_moves_no_slider(self):
        browser = self.browser
        self.open_sample(**PHONE)
        browser.reveal("No_Beard")
        place = "return document.getElementById('panel-body').scrollTop"
        for attribute in ("Bangs", "No_Beard", "Eyeglasses"):
            browser.reveal(attribute)
            box = browser.slider(attribute).rect
            top = browser.js(place)
            x, y = box["x"] + box["width"] * 0.2, box["y"] + box["height"] / 2
            way = 12 if top > 150 else -12
            browser.touch("Start", (x, y))
            for step in range(1, 12):
                browser.touch("Move", (x, y + way * step))
                time.sleep(0.03)
            browser.touch("End")
            self.assertEqual(browser.strength(attribute), 0)
            self.assertNotEqual(browser.js(place), top)
        self.assertEqual(browser.text("change-count"), "No changes")
        # A tap does nothing; a horizontal move does, wherever it begins.
        browser.reveal("Eyeglasses")
        box = browser.slider("Eyeglasses").rect
        x, y = box["x"] + box["width"] * 0.3, box["y"] + box["height"] / 2
        browser.touch("Start", (x, y))
        browser.touch("End")
        self.assertEqual(browser.strength("Eyeglasses"), 0)
        browser.touch("Start", (x, y))
        for step in range(1, 11):
            browser.touch("Move", (x + 12 * step, y))
        browser.touch("End")
        browser.wait("the slider", lambda: browser.strength("Eyeglasses") > 0.4)
        self.assertEqual(browser.text("change-count"), "1 change")

    def test_pinch_and_drag_begin_on_a_face(self):
        browser = self.browser
        percent = lambda: int(browser.text("zoom-level").split()[0])
        self.open_photo(self.trio(), "trio.png", **PHONE)
        browser.click("zoom-fit")
        before = percent()
        x, y = browser.middle(browser.css(".face"))
        browser.touch("Start", (x - 10, y), (x + 10, y))
        for step in range(1, 9):
            browser.touch("Move", (x - 10 - 6 * step, y), (x + 10 + 6 * step, y))
        browser.touch("End")
        self.assertGreater(percent(), 2 * before)

        self.open_photo(self.trio(), "trio.png")
        browser.click("zoom-fit")
        for _ in range(4):
            browser.click("zoom-in")
        face = browser.css(".face[aria-pressed=true]")
        selected = face.get_attribute("data-face")
        x, y = browser.middle(face)
        browser.mouse("Pressed", x, y)
        for step in (10, 20, 40, 60):
            browser.mouse("Moved", x - step, y)
        browser.mouse("Released", x - 60, y)
        self.assertAlmostEqual(browser.middle(browser.css(".face[aria-pressed=true]"))[0], x - 60, delta=8)
        self.assertEqual(browser.css(".face[aria-pressed=true]").get_attribute("data-face"), selected)
        browser.click("zoom-fit")
        # A click still chooses.
        browser.css(".face[aria-pressed=false]").click()
        self.assertNotEqual(browser.css(".face[aria-pressed=true]").get_attribute("data-face"), selected)

    def test_a_slow_upload_shows_its_progress_and_can_be_cancelled(self):
        browser = self.browser
        noise = Image.effect_noise((900, 900), 80).convert("RGB")
        noise.paste(photo_of((400, 400), {(90, 60): 240}), (250, 250))
        file = self.save(noise, "slow.png")
        browser.open(self.server.url)
        browser.settle()
        slow = lambda rate: browser.cdp(
            "Network.emulateNetworkConditions", offline=False, latency=0, downloadThroughput=-1, uploadThroughput=rate)
        browser.cdp("Network.enable")
        rate = file.stat().st_size / 12
        try:
            slow(rate)
            browser.choose(file)
            browser.wait("the progress", lambda: browser.is_shown("progress"), seconds=10)
            value = lambda: browser.js("return document.getElementById('progress-bar').value")
            first = browser.wait("a part to go", lambda: 0 < value() < 100 and value(), seconds=20)
            browser.shot("upload-progress")
            browser.wait("more of it to go", lambda: value() > first, seconds=20)
            browser.click("progress-cancel")
            browser.wait("the end", lambda: not browser.is_shown("progress"))
            self.assertEqual(browser.mode(), "start")
            self.assertFalse(browser.is_shown("start-problem"))
            browser.choose(file)
            browser.wait("the progress", lambda: browser.is_shown("progress"), seconds=10)
            slow(-1)
            browser.wait_for_photo()
            self.assertFalse(browser.is_shown("progress"))
        finally:
            slow(-1)
            browser.cdp("Network.disable")

    def test_a_finger_meets_all_that_can_be_pressed(self):
        browser = self.browser
        for screen in (PHONE, SIDEWAYS):
            self.open_photo(self.trio(), "trio.png", **screen)
            browser.set("Eyeglasses", Keys.END)
            browser.click("look-save")
            browser.id("question-answer").send_keys("Professor")
            self.assert_touchable("question")
            browser.press(Keys.ENTER)
            browser.wait("the look", "return document.querySelectorAll('.look-own').length === 1")
            browser.choose(self.save(photo_of((240, 180), {}), "wall.png"))
            browser.wait("the note", lambda: browser.is_shown("toast"))
            self.assert_touchable("note", "#toast")
            browser.css(".toast-close").click()
            self.open_second("pair.png")
            browser.js("document.querySelectorAll('details').forEach((group) => { group.open = true; })")
            browser.reveal("Young")
            browser.set("Young", Keys.HOME)
            self.assert_touchable("two photos, two faces, an own look, all groups")
            for opener in ("export-open", "history-open"):
                browser.click(opener)
                browser.wait("the sheet", "return document.querySelector('dialog[open]') !== null")
                self.assert_touchable(opener)
                browser.press(Keys.ESCAPE)
            browser.click("morph-mode")
            browser.wait("the other faces", "return document.querySelectorAll('#morph-faces .face-chip').length > 2")
            self.assert_touchable("morph")

    def open_second(self, name: str):
        """Another photo besides the one that is open."""
        self.browser.choose(self.save(self.pair(), name))
        self.browser.wait("the photo", lambda: self.browser.text("file-name") == name)
        self.browser.settle()

    def test_a_server_that_hangs_is_noticed(self):
        browser = self.browser
        self.open_sample()
        os.kill(self.server.process.pid, signal.SIGSTOP)
        try:
            start = time.monotonic()
            browser.wait("the banner", lambda: browser.is_shown("banner"), seconds=20)
            self.assertLess(time.monotonic() - start, 5.5)
            browser.shot("server-hangs")
        finally:
            os.kill(self.server.process.pid, signal.SIGCONT)
        browser.wait("the banner to go", lambda: not browser.is_shown("banner"))

    def test_what_is_transparent_is_shown_so(self):
        browser = self.browser
        photo = photo_of((400, 300), {(100, 40): 200}).convert("RGBA")
        photo.paste((255, 0, 255, 0), (0, 0, 60, 300))
        self.open_photo(photo, "cut.png")
        browser.set("Eyeglasses", Keys.END)
        browser.settle()
        browser.shot("transparent")
        left, top, width, height = browser.photo_box()
        colours = browser.js("""
          const [left, top, width, height] = arguments;
          const data = document.getElementById("canvas").getContext("2d").getImageData(left + 8, top + 8, width, height).data;
          return Array.from({ length: width * height }, (_, i) => [...data.slice(4 * i, 4 * i + 3)].join(" "));
        """, left, top, 60, 60)
        # The white and grey of a checkerboard, and no magenta.
        self.assertLessEqual({"255 255 255", "212 212 212"}, set(colours))
        self.assertTrue(all(len(set(colour.split())) == 1 for colour in colours), set(colours))

    def test_a_magnified_page_and_a_phone_on_its_side(self):
        browser = self.browser
        for name, screen in [("magnified", MAGNIFIED), ("sideways", SIDEWAYS)]:
            browser.open(self.server.url, **screen)
            browser.settle()
            browser.shot(f"{name}-start")
            self.assert_fits(screen["width"])
            for button in ("choose", "sample"):
                browser.js("arguments[0].scrollIntoView()", browser.id(button))
                box = browser.id(button).rect
                met = browser.js("return document.elementFromPoint(...arguments)?.closest('button')?.id", *browser.middle(browser.id(button)))
                self.assertEqual(met, button, box)
            self.open_photo(self.trio(), "trio.png", **screen)
            browser.shot(f"{name}-edit")
            self.assert_fits(screen["width"])
            # What moves the view stands beside the photo.
            photo, tools = browser.id("viewport").rect, browser.css(".zoom").rect
            self.assertLessEqual(photo["x"] + photo["width"], tools["x"])
            ratio = 2 if screen.get("phone") else 1
            _, _, width, height = browser.photo_box()
            self.assertGreater(min(width, height) / ratio, 90)
            # The last slider can be reached.
            browser.reveal("Blurry")
            self.assertEqual(
                browser.js("return document.elementFromPoint(...arguments)?.closest('.row') !== null",
                           *browser.middle(browser.slider("Blurry"))), True)
            # Nothing hides a face.
            covered = browser.js("""
              return [...document.querySelectorAll("#faces .face")].map((face) => {
                const box = face.getBoundingClientRect();
                const number = face.firstChild.getBoundingClientRect();
                const high = Math.max(0, Math.min(box.bottom, number.bottom) - Math.max(box.top, number.top));
                return number.width * high / (box.width * box.height);
              });
            """)
            self.assertTrue(all(part < 0.08 for part in covered), covered)
