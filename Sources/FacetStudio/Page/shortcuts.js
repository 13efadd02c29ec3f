// Keys, and the dialog that lists them.

import { byId, make } from "./dom.js";

const storage = "facet-single-keys";

/**
 * Ties keys to actions: `undo`, `redo`, `compare`, `hold(boolean)`, `zoom(factor)`, `fit`, `search`, `choose`,
 * `download`. Those of a single letter can be turned off, for people who speak to their computer.
 */
export function setUpShortcuts(actions) {
  const list = [
    ["Hold B", "See the photo before the edit"],
    ["C", "Compare before and after"],
    ["Ctrl Z", "Undo"],
    ["Ctrl Shift Z", "Redo"],
    ["+ − 0", "Zoom in, zoom out, fit"],
    ["← ↑ → ↓", "Pan the photo, move a slider or the divider"],
    ["Del", "Reset the slider"],
    ["/", "Search attributes"],
    ["O", "Choose a photo"],
    ["S", "Download the result"],
    ["?", "This list"],
  ];
  byId("keys").replaceChildren(...list.flatMap(([keys, text]) => [
    make("dt", {}, ...keys.split(" ").map((key) => key === "Hold" ? "Hold" : make("kbd", {}, key))),
    make("dd", {}, text),
  ]));

  const dialog = byId("shortcuts");
  byId("shortcuts-open").addEventListener("click", () => dialog.showModal());
  byId("shortcuts-close").addEventListener("click", () => dialog.close());

  const single = byId("single-keys");
  single.checked = localStorage.getItem(storage) !== "off";
  single.addEventListener("change", () => localStorage.setItem(storage, single.checked ? "on" : "off"));

  const keys = {
    c: actions.compare, "+": () => actions.zoom(1.4), "=": () => actions.zoom(1.4), "-": () => actions.zoom(1 / 1.4),
    0: actions.fit, "/": actions.search, o: actions.choose, s: actions.download, "?": () => dialog.showModal(),
  };
  addEventListener("keydown", (event) => {
    const writing = event.target.matches?.("input:not([type=range]):not([type=checkbox]), textarea");
    if (writing || event.altKey || document.querySelector("dialog[open]")) return;
    const key = event.key.toLowerCase();
    if (event.ctrlKey || event.metaKey) {
      const action = key === "y" || (key === "z" && event.shiftKey) ? actions.redo : key === "z" ? actions.undo : null;
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
