// The selected attribute at several strengths: a strip of small faces; a click takes one's strength.

import * as api from "./api.js";
import { byId, make, signed } from "./dom.js";
import { t } from "./texts.js";

const tileSize = 128;
const parts = [-1, -0.5, 0, 0.5, 1];
const partsOfOneSide = [0, 0.25, 0.5, 0.75, 1];

export class Spectrum {
  #editing;
  #words;
  #key = "";

  /** @param words gives an attribute's `{ label, less, more, reach }`. */
  constructor(editing, words, announce) {
    [this.#editing, this.#words, this.announce] = [editing, words, announce];
    byId("tiles").replaceChildren(...parts.map((_, index) => make("button", {
      class: "tile", type: "button", onclick: () => {
        const name = editing.attribute;
        editing.set({ [name]: this.#strength(this.#parts[index]) });
        announce(`${words(name).label} ${signed(editing.strength(name))}`);
      },
    }, make("canvas", { width: tileSize, height: tileSize, "aria-hidden": "true" }), make("span"))));
    editing.addEventListener("selection", () => this.#begin());
    editing.addEventListener("edits", ({ detail }) => {
      if (!detail.live && this.#request().key !== this.#key) this.#stale();
      this.#mark();
    });
    editing.addEventListener("photo", () => this.#begin());
  }

  get #parts() { return this.#words(this.#editing.attribute).isOneSided ? partsOfOneSide : parts; }
  #strength(part) { return part * this.#words(this.#editing.attribute).reach; }

  #request() {
    const { photo, face, attribute } = this.#editing;
    const others = this.#editing.editsOf(face).filter((edit) => edit.attribute !== attribute);
    const style = attribute && this.#editing.style(attribute);
    const tiles = attribute ? this.#parts.map((part) => [...others, { attribute, strength: this.#strength(part), style }]) : [];
    const request = { face, tiles, size: tileSize };
    return { request, key: JSON.stringify([photo?.id, request]) };
  }

  /** The tiles are another face's or another attribute's. */
  #stale() {
    this.#key = "";
    byId("tiles").classList.add("stale");
  }

  #begin() {
    const { attribute, photo } = this.#editing;
    if (!attribute || !photo) return;
    if (this.#request().key !== this.#key) this.#stale();
    const { label, less, more } = this.#words(attribute);
    byId("spectrum-title").textContent = label;
    [...byId("tiles").children].forEach((tile, index) => {
      const strength = this.#strength(this.#parts[index]);
      const text = strength === 0 ? t("asIs") : index === 0 ? less : index === parts.length - 1 ? more : signed(strength);
      tile.lastChild.textContent = text;
      tile.setAttribute("aria-label", `${label}: ${text}`);
    });
    this.#mark();
  }

  /** The row's reach has changed. */
  update() { this.#begin(); }

  /** Asks for the strip, where what it shows has changed. */
  async refresh(signal) {
    const { request, key } = this.#request();
    if (!this.#editing.attribute || key === this.#key) return;
    const strip = await createImageBitmap(await api.tiles(this.#editing.photo.id, request, signal));
    if (this.#request().key === key) {
      this.#key = key;
      const side = strip.height;
      [...byId("tiles").children].forEach((tile, index) => {
        tile.firstChild.getContext("2d").drawImage(strip, index * side, 0, side, side, 0, 0, tileSize, tileSize);
      });
      byId("tiles").classList.remove("stale");
    }
    strip.close();
  }

  /** Marks the tile of the present strength. */
  #mark() {
    const { attribute } = this.#editing;
    const strength = attribute && this.#editing.photo ? this.#editing.strength(attribute) : NaN;
    [...byId("tiles").children].forEach((tile, index) => {
      tile.setAttribute("aria-pressed", String(attribute !== null && Math.abs(this.#strength(this.#parts[index]) - strength) < 0.001));
    });
  }
}
