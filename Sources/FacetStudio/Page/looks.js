// Looks: edits that one click gives, each shown on the user's own face, and those that were saved here.

import * as api from "./api.js";
import { byId, icon, make, save } from "./dom.js";
import { ask } from "./notices.js";
import { t } from "./texts.js";

const storage = "facet-looks";
const tileSize = 112;

export class Looks {
  #editing;
  #announce;
  #given = [];
  #own = [];
  #isKnown = () => true;
  #buttons = [];
  #key = "";

  constructor(editing, announce) {
    [this.#editing, this.#announce] = [editing, announce];
    try { this.#own = JSON.parse(localStorage.getItem(storage)) ?? []; } catch { this.#own = []; }
    editing.addEventListener("photo", () => this.#stale());
    editing.addEventListener("selection", ({ detail }) => {
      if (detail.faceChanged) this.#stale();
      this.#mark();
    });
    editing.addEventListener("edits", ({ detail }) => { if (!detail.live) this.#mark(); });
    byId("look-save").addEventListener("click", () => this.#save());
  }

  /** Takes the server's looks; `isKnown` tells whether an edit can be made. */
  build(given, isKnown) {
    [this.#given, this.#isKnown] = [given, isKnown];
    this.#show();
  }

  get #all() {
    return [...this.#given, ...this.#own.filter((look) => look.edits.every((edit) => this.#isKnown(edit)))];
  }

  #show() {
    this.#buttons = this.#all.map((look) => {
      const button = make("button", {
        class: "look", type: "button", "aria-pressed": "false", onclick: () => this.#toggle(look),
      }, make("canvas", { width: tileSize, height: tileSize, "aria-hidden": "true" }), make("span", {}, look.label));
      if (!look.own) return { look, button, element: button };
      const remove = make("button", {
        class: "look-remove", type: "button", "aria-label": t("lookRemove", { name: look.label }),
        title: t("lookRemove", { name: look.label }), onclick: () => this.#remove(look),
      }, icon("close", "small"));
      const file = make("button", {
        class: "look-file", type: "button", "aria-label": t("lookFile", { name: look.label }),
        title: t("lookFile", { name: look.label }), onclick: () => this.#download(look),
      }, icon("download", "small"));
      return { look, button, element: make("div", { class: "look-own" }, button, file, remove) };
    });
    byId("looks").replaceChildren(...this.#buttons.map(({ element }) => element));
    this.#stale();
    this.#mark();
  }

  /** Adds a look's edits, or takes them away. */
  #toggle(look) {
    const on = !this.#isOn(look);
    this.#editing.apply(on ? look.edits : look.edits.map((edit) => ({ ...edit, strength: 0 })));
    if (on) this.#editing.select({ attribute: look.edits[0].attribute });
    this.#announce(t(on ? "lookOn" : "lookOff", { name: look.label }));
  }

  #isOn(look) {
    return look.edits.every(({ attribute, strength, style }) =>
      this.#editing.strength(attribute) === strength && this.#editing.style(attribute) === style);
  }

  #mark() {
    if (!this.#editing.photo) return;
    for (const { look, button } of this.#buttons) button.setAttribute("aria-pressed", String(this.#isOn(look)));
    byId("look-save").disabled = this.#editing.editsOf(this.#editing.face).length === 0;
  }

  #stale() {
    this.#key = "";
    byId("looks").classList.add("stale");
  }

  /** Asks for the pictures of all looks at once, where they are another face's. */
  async refresh(signal) {
    const { photo, face } = this.#editing;
    const all = this.#all.slice(0, 24);
    const key = JSON.stringify([photo.id, face, all.length]);
    if (key === this.#key) return;
    const request = { face, tiles: all.map((look) => look.edits), size: tileSize };
    const strip = await createImageBitmap(await api.tiles(photo.id, request, signal));
    if (this.#editing.photo.id === photo.id && this.#editing.face === face) {
      this.#key = key;
      this.#buttons.slice(0, all.length).forEach(({ button }, index) => {
        button.firstChild.getContext("2d")
          .drawImage(strip, index * strip.height, 0, strip.height, strip.height, 0, 0, tileSize, tileSize);
      });
      byId("looks").classList.remove("stale");
    }
    strip.close();
  }

  async #save() {
    const edits = this.#editing.editsOf(this.#editing.face);
    const label = await ask(t("lookName"), t("save"), { field: "" });
    if (!label) return;
    this.#own = [...this.#own.filter((look) => look.label !== label), { own: true, label, edits }];
    this.#store();
    this.#announce(t("lookSaved", { name: label }));
  }

  /** Saves a look as a file that `facet edit --look` reads. */
  #download({ label, edits }) {
    save(new Blob([JSON.stringify({ label, edits }, null, 2)], { type: "application/json" }), `${label}.json`);
  }

  #remove(look) {
    this.#own = this.#own.filter((other) => other !== look);
    this.#store();
    byId("look-save").focus();
  }

  #store() {
    localStorage.setItem(storage, JSON.stringify(this.#own));
    this.#show();
    this.changed();
  }

  /** Called where pictures are wanted again. */
  changed = () => {};
}
