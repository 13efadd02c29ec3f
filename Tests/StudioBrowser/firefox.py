"""Debian's Firefox without a window, by WebDriver BiDi: its driver, geckodriver, is no package of Debian."""

import base64
import json
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

# A part of selenium.
import websocket

from studio import PATIENCE, SCREENSHOTS

PREFERENCES = {
    "browser.download.folderList": 2,  # the folder of browser.download.dir
    "browser.download.alwaysOpenPanel": False,
    "browser.shell.checkDefaultBrowser": False,
    "browser.startup.homepage_override.mstone": "ignore",
    "datareporting.policy.dataSubmissionEnabled": False,
    "toolkit.telemetry.enabled": False,
    "app.update.enabled": False,
    "browser.safebrowsing.downloads.enabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "dom.security.https_first": False,
    "remote.log.level": "Error",
}


class Firefox:
    """One window on the studio's page."""

    def __init__(self, downloads: Path, width: int = 1366, height: int = 768):
        self.downloads = downloads
        self.profile = tempfile.TemporaryDirectory(prefix="facet-firefox-")
        preferences = PREFERENCES | {"browser.download.dir": str(downloads), "intl.accept_languages": "en"}
        Path(self.profile.name, "user.js").write_text(
            "".join(f"user_pref({json.dumps(name)}, {json.dumps(value)});\n" for name, value in preferences.items()))
        self.process = subprocess.Popen(
            [shutil.which("firefox-esr"), "--headless", "--no-remote", "--profile", self.profile.name,
             "--remote-debugging-port", "0"],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        for line in self.process.stderr:
            if found := re.search(r"WebDriver BiDi listening on (ws://\S+)", line):
                break
        else:
            raise RuntimeError("firefox-esr did not start")
        self.socket = websocket.create_connection(f"{found[1]}/session", timeout=PATIENCE, suppress_origin=True)
        self.number = 0
        self.errors: list[str] = []
        self.call("session.new", capabilities={})
        self.call("session.subscribe", events=["log.entryAdded"])
        self.context = self.call("browsingContext.getTree")["contexts"][0]["context"]
        self.call("browsingContext.setViewport", context=self.context, viewport={"width": width, "height": height})

    def quit(self):
        try:
            self.call("browser.close")
            self.process.wait(20)
        finally:
            self.process.kill()
            self.process.wait()
            self.process.stderr.close()
            self.socket.close()
            self.profile.cleanup()

    def call(self, method: str, **parameters):
        """A command and its result; what the page complained about meanwhile is kept."""
        self.number += 1
        self.socket.send(json.dumps({"id": self.number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self.socket.recv())
            if message.get("method") == "log.entryAdded" and message["params"]["level"] == "error":
                self.errors.append(message["params"]["text"])
            if message.get("id") != self.number:
                continue
            if message["type"] == "error":
                raise RuntimeError(f"{method}: {message['error']}: {message['message']}")
            return message["result"]

    def js(self, body: str, *arguments):
        """What a function of this body returns, called in the page."""
        result = self.call(
            "script.callFunction", functionDeclaration=f"async (...all) => JSON.stringify(await (async function () {{ {body} }})(...all))",
            arguments=[{"type": "string", "value": one} for one in arguments],
            awaitPromise=True, target={"context": self.context})
        if result["type"] == "exception":
            raise RuntimeError(result["exceptionDetails"]["text"])
        value = result["result"].get("value")
        return None if value is None else json.loads(value)

    def open(self, url: str):
        self.call("browsingContext.navigate", context=self.context, url=url, wait="complete")
        self.wait("the sliders", "return document.querySelectorAll('#groups .range').length >= 35")

    def wait(self, what: str, condition, *arguments, seconds: float = PATIENCE):
        end = time.monotonic() + seconds
        while True:
            value = self.js(condition, *arguments) if isinstance(condition, str) else condition()
            if value:
                return value
            if time.monotonic() > end:
                self.shot("in-vain-" + what.replace(" ", "-"))
                raise AssertionError(f"waited in vain for {what}")
            time.sleep(0.1)

    def middle(self, selector: str) -> tuple[int, int]:
        return tuple(self.js("""
          const element = document.querySelector(arguments[0]);
          element.scrollIntoView({ block: "center" });
          const box = element.getBoundingClientRect();
          return [Math.round(box.left + box.width / 2), Math.round(box.top + box.height / 2)];
        """, selector))

    def point(self, *actions: dict):
        self.call("input.performActions", context=self.context, actions=[
            {"type": "pointer", "id": "mouse", "parameters": {"pointerType": "mouse"}, "actions": list(actions)}])

    def drag(self, *places: tuple[int, int]):
        """The pointer pressed at the first place, moved over the others and let go."""
        move = lambda place: {"type": "pointerMove", "x": round(place[0]), "y": round(place[1]), "duration": 40}
        self.point(move(places[0]), {"type": "pointerDown", "button": 0}, *map(move, places[1:]), {"type": "pointerUp", "button": 0})

    def click(self, selector: str):
        self.drag(self.middle(selector))

    def press(self, *keys: str):
        """Keys to whatever has the focus, the last one with those before it held."""
        held = list(keys[:-1])
        actions = [{"type": "keyDown", "value": key} for key in [*held, keys[-1]]]
        actions += [{"type": "keyUp", "value": key} for key in [keys[-1], *reversed(held)]]
        self.call("input.performActions", context=self.context, actions=[{"type": "key", "id": "keys", "actions": actions}])

    def choose(self, *files: Path):
        node = self.call("browsingContext.locateNodes", context=self.context, locator={"type": "css", "value": "#file"})["nodes"][0]
        self.call("input.setFiles", context=self.context, element={"sharedId": node["sharedId"]}, files=[str(file) for file in files])

    def shot(self, name: str):
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        data = self.call("browsingContext.captureScreenshot", context=self.context)["data"]
        (SCREENSHOTS / f"firefox-{name}.png").write_bytes(base64.b64decode(data))
