"""The brush, ways out for several photos, the page without its server and under a path, and large screens."""

import http.client
import io
import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import product

from PIL import Image
from selenium.webdriver.common.keys import Keys

from fixture import LAPTOP, PHONE, SIDEWAYS, WIDE, StudioTestCase
from studio import REPOSITORY, SAMPLE, Server, photo_of


class Prefix(ThreadingHTTPServer):
    """Another server that hands what is below a path on to the studio, as a proxy does."""

    daemon_threads = True

    def __init__(self, path: str, port: int):
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                length = int(self.headers.get("Content-Length", 0))
                body = self.rfile.read(length) if length else None
                if not self.path.startswith(path):
                    self.send_response(404)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    self.server.strays.append(self.path)
                    return
                connection = http.client.HTTPConnection("127.0.0.1", port)
                headers = {name: value for name, value in self.headers.items() if name.lower() != "connection"}
                connection.request(self.command, self.path[len(path) - 1:], body, headers)
                response = connection.getresponse()
                data = response.read()
                self.send_response(response.status)
                for name, value in response.getheaders():
                    if name.lower() not in ("connection", "content-length", "transfer-encoding", "date", "server"):
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)
                connection.close()

            do_GET = do_POST = do_DELETE = answer

            def log_message(self, *_):
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        self.handle_error = lambda *_: None  # a browser that leaves closes its connections
        self.strays: list[str] = []
        self.url = f"http://127.0.0.1:{self.server_port}{path}"
        threading.Thread(target=self.serve_forever, daemon=True).start()


class WaysTests(StudioTestCase):
    def paint(self, *places: tuple[float, float]):
        """One stroke of the brush, by places in parts of the sample's face."""
        browser = self.browser
        x, y, scale = browser.js("""
          const port = document.getElementById("viewport").getBoundingClientRect();
          return [port.left + port.width / 2, port.top + port.height / 2, Math.min(port.width, port.height) - 48];
        """)
        points = [(x + (across - 0.5) * scale, y + (down - 0.5) * scale) for across, down in places]
        browser.mouse("Pressed", *points[0])
        for point in points[1:]:
            browser.mouse("Moved", *point)
        browser.mouse("Released", *points[-1])

    def test_the_brush_keeps_a_region(self):
        browser = self.browser
        self.open_sample()
        browser.click("zoom-fit")
        browser.settle()
        browser.keep("photo")
        browser.set("Eyeglasses", Keys.END)
        browser.settle()
        browser.keep("edited")
        whole = browser.difference_in_face("photo")
        with Image.open(self.saved("Sample portrait-edited.jpg", "download")) as picture:
            unprotected = picture.convert("RGB")
        browser.click("protect")
        browser.wait("the brush", "return document.body.classList.contains('protecting')")
        self.assertTrue(browser.is_shown("brush-bar"))
        # Over the left half of the face and far beyond, closer than the brush's edge is soft.
        for down in range(10, 37, 3):
            self.paint((0.3, down / 100), (0.36, down / 100), (0.44, down / 100))
        browser.shot("brush")
        # The overlay shows where.
        self.assertGreater(browser.difference("edited", 0.3, 0.44), 1)
        browser.click("brush-done")
        browser.settle()
        browser.shot("brush-kept")
        self.assertLess(browser.difference("photo", 0.33, 0.43), 0.15)
        self.assertGreater(browser.difference("photo", 0.46, 0.53), 0.5)
        self.assertGreater(whole, browser.difference_in_face("photo") + 0.2)
        # It is a part of the history, and of the file at full size.
        browser.click("history-open")
        steps = [step.text for step in browser.driver.find_elements("css selector", ".step")]
        self.assertEqual(steps[-1], "Region kept as it was")
        browser.press(Keys.ESCAPE)
        with Image.open(self.saved("Sample portrait-edited.jpg", "download")) as picture:
            edited = picture.convert("RGB")
        # The command says so, and the region can be had as a picture.
        browser.open_sheet()
        self.assertIn("--protect 'Sample portrait-kept.png'", browser.css(".command code").text)
        with Image.open(self.saved("Sample portrait-kept.png", "export-saveMask")) as picture:
            kept = picture.getchannel("A")
        with Image.open(SAMPLE) as picture:
            photo = picture.convert("RGB")
        self.assertEqual((kept.size, kept.getpixel((190, 110)), kept.getpixel((300, 110))), (photo.size, 255, 0))
        # Blocks of the file that lie in the region are the photo's to the bit, also where the edit would change them.
        changed_by_edit = 0
        for left, top in product(range(0, 512, 8), repeat=2):
            block = (left, top, left + 8, top + 8)
            if kept.crop(block).getextrema()[0] == 255:
                here = photo.crop(block).tobytes()
                self.assertEqual(edited.crop(block).tobytes(), here, block)
                changed_by_edit += unprotected.crop(block).tobytes() != here
        self.assertGreater(changed_by_edit, 10)
        right = (235, 60, 275, 160)
        self.assertNotEqual(edited.crop(right).tobytes(), photo.crop(right).tobytes())
        browser.press(Keys.ESCAPE)
        # A reload brings it back; erasing and undoing work.
        browser.driver.refresh()
        browser.wait_for_photo()
        browser.click("zoom-fit")
        browser.settle()
        self.assertTrue(browser.js("return document.getElementById('protect').classList.contains('edited')"))
        browser.keep("kept")
        browser.press("k")
        browser.wait("the brush", "return document.body.classList.contains('protecting')")
        browser.click("brush-erase")
        strokes = range(6, 41, 3)
        for down in strokes:
            self.paint((0.24, down / 100), (0.36, down / 100), (0.5, down / 100))
        browser.press(Keys.ESCAPE)
        browser.settle()
        self.assertFalse(browser.js("return document.body.classList.contains('protecting')"))
        self.assertGreater(browser.difference("kept", 0.33, 0.43), 0.3)
        for _ in strokes:
            browser.click("undo")
        browser.settle()
        self.assertLess(browser.difference("kept"), 0.05)
        # So does taking all of it away at once.
        browser.click("protect")
        browser.wait("the brush", "return document.body.classList.contains('protecting')")
        browser.click("brush-clear")
        browser.click("brush-done")
        browser.settle()
        self.assertGreater(browser.difference("kept", 0.33, 0.43), 0.3)
        self.assertEqual(browser.errors(), [])

    def test_the_brush_by_keys(self):
        browser = self.browser
        spot = lambda: browser.js("""
          const [ring, port] = ["brush-ring", "viewport"].map((id) => document.getElementById(id).getBoundingClientRect());
          return [ring.left + ring.width / 2 - port.left, ring.top + ring.height / 2 - port.top, ring.width];
        """)
        is_edited = "return document.getElementById('protect').classList.contains('edited')"
        self.open_sample()
        browser.set("Eyeglasses", Keys.END)
        browser.settle()
        browser.press("k")
        browser.wait("the brush", "return document.body.classList.contains('protecting')")
        self.assertEqual(browser.focused(), "viewport")
        self.assertIn("Space", browser.text("status"))
        self.assertIn("Space", browser.text(browser.id("viewport").get_attribute("aria-describedby")))
        self.assertTrue(browser.css(".for-keys").is_displayed())
        self.assertFalse(browser.is_shown("brush-ring"))
        zoom = browser.text("zoom-level")
        browser.press(Keys.ARROW_LEFT)
        x, y, size = spot()
        self.assertTrue(browser.is_shown("brush-ring"))
        browser.press(Keys.ARROW_LEFT)
        browser.press(Keys.ARROW_DOWN)
        self.assertAlmostEqual(spot()[0], x - size / 4, delta=1)
        self.assertAlmostEqual(spot()[1], y + size / 4, delta=1)
        self.assertRegex(browser.text("status"), r"\d+ % across, \d+ % down")
        browser.press("+")
        self.assertAlmostEqual(spot()[2], 1.25 * size, delta=1)
        self.assertEqual(browser.text("zoom-level"), zoom)
        # Nothing is drawn until the key is held.
        self.assertFalse(browser.js(is_edited))
        browser.keep("before")
        with browser.holding(" "):
            for _ in range(8):
                browser.press(Keys.ARROW_RIGHT)
            browser.wait("the stroke", lambda: browser.difference("before") > 0.05)
        self.assertTrue(browser.js(is_edited))
        self.assertEqual(browser.text("status"), "This stays as it was")
        browser.shot("brush-keys")
        # It goes on where it is, and the view follows where the photo is larger.
        browser.click("zoom-in")
        browser.click("zoom-in")
        browser.js("document.getElementById('viewport').focus()")
        for _ in range(30):
            browser.press(Keys.ARROW_UP)
        x, y, _ = spot()
        self.assertTrue(0 <= y <= browser.id("viewport").rect["height"], y)
        browser.press(Keys.CONTROL, "z")
        self.assertFalse(browser.js(is_edited))
        browser.press(Keys.ESCAPE)
        self.assertFalse(browser.js("return document.body.classList.contains('protecting')"))
        self.assertEqual(browser.id("viewport").get_attribute("aria-describedby"), "viewport-help")
        browser.press("?")
        self.assertIn("Space held paints", browser.text("keys"))
        self.assertEqual(browser.errors(), [])

    def test_a_finger_paints_and_two_move_the_photo(self):
        browser = self.browser
        percent = lambda: int(browser.js("return document.getElementById('zoom-level').textContent").split()[0])
        self.open_sample(**PHONE)
        browser.click("zoom-fit")
        browser.click("protect")
        browser.wait("the brush", "return document.body.classList.contains('protecting')")
        self.assert_fits(PHONE["width"])
        browser.shot("brush-phone")
        x, y = browser.middle(browser.id("viewport"))
        before = percent()
        browser.touch("Start", (x - 30, y))
        for step in range(1, 9):
            browser.touch("Move", (x - 30 + 8 * step, y))
        browser.touch("End")
        browser.wait("the stroke", "return document.getElementById('protect').classList.contains('edited')")
        self.assertEqual(percent(), before)
        browser.touch("Start", (x - 10, y))
        browser.touch("Start", (x - 10, y), (x + 10, y))
        for step in range(1, 9):
            browser.touch("Move", (x - 10 - 6 * step, y), (x + 10 + 6 * step, y))
        browser.touch("End")
        self.assertGreater(percent(), 2 * before)
        # What the first finger had begun is no stroke.
        browser.click("undo")
        self.assertFalse(browser.js("return document.getElementById('protect').classList.contains('edited')"))
        self.open_sample(**SIDEWAYS)
        browser.click("protect")
        browser.wait("the brush", "return document.body.classList.contains('protecting')")
        self.assert_fits(SIDEWAYS["width"])
        browser.shot("brush-sideways")

    def test_several_photos_into_a_folder(self):
        browser = self.browser
        browser.open(self.server.url)
        files = [self.save(photo_of((240, 180), {(60, 10): 160}), "one.png"), self.save(photo_of((200, 200), {(20, 20): 160}), "two.png")]
        browser.id("file").send_keys("\n".join(map(str, files)))
        browser.wait_for_photo()
        browser.wait("both photos", "return document.querySelectorAll('.tray-photo').length === 2")
        browser.settle()
        browser.set("Eyeglasses", Keys.END)
        browser.settle()
        # A folder of the browser's own, for its question is the system's. One name is taken.
        browser.later("""
          const root = await navigator.storage.getDirectory();
          await root.removeEntry("chosen", { recursive: true }).catch(() => {});
          const folder = await root.getDirectoryHandle("chosen", { create: true });
          await folder.getFileHandle("two-edited.png", { create: true });
          window.showDirectoryPicker = async () => folder;
        """)
        browser.open_sheet()
        browser.css(".all-photos input").click()
        browser.settle()
        browser.click("export-saveFolder")
        browser.wait("the note", lambda: "2 photos" in browser.text("toast") and browser.is_shown("toast"))
        found = browser.later("""
          const folder = await (await navigator.storage.getDirectory()).getDirectoryHandle("chosen");
          const files = {};
          for await (const [name, handle] of folder.entries()) {
            const file = await handle.getFile();
            files[name] = file.size ? [...new Uint8Array(await file.arrayBuffer())] : [];
          }
          return files;
        """)
        self.assertEqual(sorted(found), ["one-edited.png", "two-edited-2.png", "two-edited.png"])
        self.assertEqual(found["two-edited.png"], [])
        for name, size in [("one-edited.png", (240, 180)), ("two-edited-2.png", (200, 200))]:
            with Image.open(io.BytesIO(bytes(found[name]))) as picture:
                self.assertEqual(picture.size, size)
        # Nobody chose a folder: nothing happens.
        browser.js("window.showDirectoryPicker = async () => { throw new DOMException('no', 'AbortError'); }")
        browser.open_sheet()
        browser.click("export-saveFolder")
        time.sleep(0.5)
        self.assertTrue(browser.is_shown("export"))
        self.assertEqual(browser.errors(), [])

    def test_the_first_picture_of_a_gif_is_taken(self):
        browser = self.browser
        browser.open(self.server.url)
        browser.choose(self.save(photo_of((240, 180), {(60, 10): 160}), "moving.gif"))
        browser.wait_for_photo()
        self.assertEqual(browser.text("file-name"), "moving.png")
        self.assertIn("GIF", browser.text("toast"))
        # The note covers no tile, and the photo no frame of the focus.
        self.assertEqual(browser.js("""
          const middle = (box) => document.elementFromPoint(box.left + box.width / 2, box.top + box.height / 2);
          return [...document.querySelectorAll(".tile")].map((tile) => tile.contains(middle(tile.getBoundingClientRect())));
        """), 5 * [True])
        self.assertEqual(browser.focused(), "viewport")
        self.assertFalse(browser.js("return document.activeElement.matches(':focus-visible')"))
        self.assertEqual(browser.errors(), [])

    def test_the_page_opens_without_its_server(self):
        browser = self.browser
        server = Server()
        try:
            browser.open(server.url)
            self.assertTrue(browser.later("""
              const { icons, start_url, display } = await (await fetch(document.querySelector("link[rel=manifest]").href)).json();
              return display === "standalone" && start_url === "./" && (await fetch(icons[0].src)).ok;
            """))
            browser.later("await navigator.serviceWorker.ready")
            server.kill()
            browser.driver.get(server.url)
            browser.wait("the banner", lambda: browser.is_shown("banner"))
            self.assertTrue(browser.is_shown("choose"))
            self.assertIn("does not answer", browser.text("banner"))
            browser.shot("without-server")
            # It goes on with the server's return.
            port = server.port
            server = Server(port)
            browser.wait("the sliders", "return document.querySelectorAll('#groups .range').length >= 35")
            browser.wait("the banner to go", lambda: not browser.is_shown("banner"))
            browser.sample()
        finally:
            browser.leave()
            server.kill()

    def test_all_of_the_page_is_kept(self):
        page = REPOSITORY / "Sources/FacetStudio/Page"
        listed = set(re.findall(r'"([\w./]+)"', re.search(r"const files = \[(.*?)\]", (page / "sw.js").read_text(), re.S)[1]))
        files = {str(file.relative_to(page)) for file in page.rglob("*") if file.is_file()}
        self.assertEqual(
            listed - {"./"}, {name for name in files if not name.startswith(("docs/", "openapi.")) and name not in ("index.html", "sw.js")})

    def test_the_page_under_a_path(self):
        browser = self.browser
        proxy = Prefix("/some/studio/", self.server.port)
        try:
            browser.open(proxy.url)
            browser.sample()
            browser.keep("photo")
            browser.set("Eyeglasses", Keys.END)
            browser.wait("the preview", lambda: browser.difference_in_face("photo") > 1)
            browser.open_sheet()
            browser.press(Keys.ESCAPE)
            browser.settle()
            browser.leave()
            browser.driver.get(f"{proxy.url}docs/")
            browser.wait("the calls", "return document.querySelectorAll('details').length > 10")
            self.assertIn("/some/studio/api/edit", browser.text("curl"))
            self.assertEqual([path for path in proxy.strays if path != "/favicon.ico"], [])
        finally:
            browser.leave()
            proxy.shutdown()
            proxy.server_close()

    def test_large_screens(self):
        browser = self.browser
        for name, screen in [("laptop", LAPTOP), ("wide", WIDE)]:
            width, height = screen["width"], screen["height"]
            browser.open(self.server.url, **screen)
            browser.wait("the demo", "return document.getElementById('demo').classList.contains('shown')")
            browser.settle()
            self.assert_fits(width)
            browser.shot(f"{name}-start")
            # The start page fills a good part of the screen, and its picture stands beside its words.
            words, demo = browser.css(".start-words").rect, browser.id("demo").rect
            self.assertGreater(demo["x"], words["x"] + words["width"])
            self.assertGreater((demo["x"] + demo["width"] - words["x"]) / width, 0.5, (words, demo))
            self.assertLess(demo["y"] + demo["height"], height)
            browser.sample()
            browser.set("Eyeglasses", Keys.END)
            browser.settle()
            self.assert_fits(width)
            browser.shot(f"{name}-edit")
            _, _, across, down = browser.photo_box()
            self.assertGreater(down, 0.5 * height, name)
            # As sharp as the screen.
            calls = [call for call in browser.calls() if call.endswith(("preview",))]
            self.assertTrue(calls)
            browser.click("compare")
            browser.click("side-by-side")
            browser.settle()
            self.assert_fits(width)
            browser.shot(f"{name}-side")
            browser.click("side-by-side")
            browser.click("compare")
            browser.open_sheet()
            self.assert_fits(width)
            browser.press(Keys.ESCAPE)
            browser.click("morph-mode")
            browser.click("morph-random")
            browser.wait("the morph", lambda: browser.id("morph-at").is_enabled())
            self.assert_fits(width)
            browser.shot(f"{name}-morph")
            self.assertEqual(browser.errors(), [])
