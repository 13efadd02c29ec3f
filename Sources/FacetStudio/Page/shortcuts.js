// Keys, and the dialog that lists them.

import { byId, make } from "./dom.js";
import { t } from "./texts.js";

const storage = "facet-single-keys";

/**
 * Ties keys to actions: `undo`, `redo`, `compare`, `hold(boolean)`, `zoom(factor)`, `fit`, `face`, `actual`, `protect`,
 * `leave`, `search`, `prompt`, `choose`, `download`, `copy`. Those of a single letter can be turned off, for people who speak to their
 * computer.
 */
export function setUpShortcuts(actions) {
  const list = [
    ["B", "keyHold"], ["C", "keyCompare"], ["Ctrl Z", "undo"], ["Ctrl Shift Z", "redo"], ["Ctrl C", "copyPicture"],
    ["F", "zoomFace"], ["K", "protect"], ["␣", "brushKeys"], ["+ − 0 1", "keyZoom"], ["← ↑ → ↓", "keyMove"], ["Del", "keyReset"], ["/", "search"], ["P", "promptLabel"],
    ["O", "choose"], ["S", "download"], ["?", "keyHelp"],
  ];
  byId("keys").replaceChildren(...list.flatMap(([keys, text]) => [
    make("dt", {}, ...keys.split(" ").map((key) => make("kbd", {}, key))),
    make("dd", {}, t(text)),
  ]));

  const dialog = byId("help");
  byId("help-open").addEventListener("click", () => dialog.showModal());

  const single = byId("single-keys");
  single.checked = localStorage.getItem(storage) !== "off";
  single.addEventListener("change", () => localStorage.setItem(storage, single.checked ? "on" : "off"));

  const keys = {
    c: actions.compare, "+": () => actions.zoom(1.4), "=": () => actions.zoom(1.4), "-": () => actions.zoom(1 / 1.4),
    0: actions.fit, 1: actions.actual, f: actions.face, k: actions.protect, "/": actions.search, p: actions.prompt, o: actions.choose,
    s: actions.download, "?": () => dialog.showModal(),
  };
  addEventListener("keydown", (event) => {
    const writing = event.target.matches?.("input:not([type=range]):not([type=checkbox]), textarea");
    if (writing || event.altKey || document.querySelector("dialog[open]")) return;
    const key = event.key.toLowerCase();
    if (key === "escape") actions.leave();
    if (event.ctrlKey || event.metaKey) {
      const isSelecting = String(getSelection()) !== "";
      const action = key === "c" && !isSelecting ? actions.copy
        : key === "y" || (key === "z" && event.shiftKey) ? actions.redo : key === "z" ? actions.undo : null;
      if (action) {
        event.preventDefault();
        action();
      }
      return;
    }
    if (!single.checked) return;
    if (key === "b") {
      actions.hold(true);
    } else if (keys[key]) {
      event.preventDefault();
      keys[key]();
    }
  });
  addEventListener("keyup", (event) => { if (event.key.toLowerCase() === "b") actions.hold(false); });
  addEventListener("blur", () => actions.hold(false));
}
