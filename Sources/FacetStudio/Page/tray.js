// The photos that are open, each with its edits and its history; the one on the stage is the document's.

import * as api from "./api.js";
import { editsOfState, strokesOfState } from "./document.js";
import { byId, icon, make } from "./dom.js";
import { t } from "./texts.js";

const storage = "facet-session";

/** Events: "change" (which photos there are). */
export class Tray extends EventTarget {
  #editing;
  #items = []; // { photo, state, saved }: `saved` are the edits that were downloaded last, as text
  #present = null;
  #open;
  #remove;

  /** @param open called with an item that is chosen; @param remove with one that shall go. */
  constructor(editing, open, remove) {
    super();
    [this.#editing, this.#open, this.#remove] = [editing, open, remove];
    for (const type of ["edits", "selection"]) editing.addEventListener(type, ({ detail }) => { if (!detail.live) this.keep(); });
  }

  get items() { return this.#items; }
  get present() { return this.#present; }

  add(photo, state = null) {
    const item = { photo, state, saved: "" };
    this.#items.push(item);
    return item;
  }

  /** Puts an item on the stage. */
  choose(item) {
    this.#present = item;
    this.#editing.open(item.photo, item.state);
    this.keep();
    this.show();
  }

  remove(item) {
    this.#items = this.#items.filter((other) => other !== item);
    api.removePhoto(item.photo.id);
    if (this.#present === item) this.#present = null;
    this.#write();
    this.show();
  }

  /** Remembers where the document is, here and in the tab. */
  keep() {
    if (this.#present) this.#present.state = this.#editing.state;
    this.#write();
    this.#mark();
  }

  edits(item) { return item.state ? editsOfState(item.state) : []; }
  strokes(item) { return item.state ? strokesOfState(item.state) : []; }
  #textOf(item) { return JSON.stringify([this.edits(item), this.strokes(item)]); }

  /** Whether an item has edits that were not downloaded. */
  isUnsaved(item) { return this.#textOf(item) !== item.saved && this.edits(item).length > 0; }
  get hasUnsaved() { return this.#items.some((item) => this.isUnsaved(item)); }
  markSaved(item = this.#present) { item.saved = this.#textOf(item); }

  /** The server knows a photo under another id. */
  renew(photo, id) {
    photo.id = id;
    this.#write();
  }

  // --- The session, which a reload brings back

  #write() {
    const photos = this.#items.map(({ photo: { id, name }, state, saved }) => ({ id, name, state, saved }));
    try {
      sessionStorage.setItem(storage, JSON.stringify({ photos, present: this.#items.indexOf(this.#present) }));
    } catch { /* a full store: the page works without */ }
  }

  /** The items of the session that the server still has, and the one that was on the stage. */
  async restore() {
    let kept;
    try { kept = JSON.parse(sessionStorage.getItem(storage)); } catch { kept = null; }
    let present = null;
    for (const [index, { id, name, state, saved }] of (kept?.photos ?? []).entries()) {
      try {
        const photo = { ...(await api.getPhoto(id)), name, again: null };
        const item = this.add(photo, state);
        item.saved = saved;
        if (index === kept.present || !present) present = item;
      } catch (error) {
        if (error.status !== 404) throw error;
      }
    }
    return { present, lost: (kept?.photos.length ?? 0) - this.#items.length };
  }

  // --- The list

  show() {
    const list = byId("tray");
    list.hidden = this.#items.length < 2;
    list.replaceChildren(...this.#items.map((item) => {
      item.canvas ??= this.#thumbnail(item.photo);
      item.button = make("button", {
        class: "tray-photo", type: "button", title: item.photo.name, onclick: () => this.#open(item),
      }, item.canvas);
      return make("li", {}, item.button, make("button", {
        class: "tray-close", type: "button", "aria-label": t("closePhoto", { name: item.photo.name }),
        title: t("closePhoto", { name: item.photo.name }), onclick: () => this.#remove(item),
      }, icon("close", "small")));
    }));
    this.#mark();
    this.dispatchEvent(new Event("change"));
  }

  #mark() {
    for (const item of this.#items) {
      const edited = this.edits(item).length > 0;
      item.button?.setAttribute("aria-pressed", String(item === this.#present));
      item.button?.setAttribute("aria-label", edited ? t("photoEdited", { name: item.photo.name }) : item.photo.name);
      item.button?.classList.toggle("edited", edited);
    }
  }

  #thumbnail(photo) {
    const canvas = make("canvas", { width: 112, height: 112, "aria-hidden": "true" });
    api.picture(photo.id, 320).then(createImageBitmap).then((bitmap) => {
      const side = Math.min(bitmap.width, bitmap.height);
      canvas.getContext("2d").drawImage(
        bitmap, (bitmap.width - side) / 2, (bitmap.height - side) / 2, side, side, 0, 0, 112, 112);
      bitmap.close();
    }).catch(() => {});
    return canvas;
  }
}
