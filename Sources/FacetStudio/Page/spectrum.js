// The selected attribute at several strengths: a strip of small faces; a click takes one's strength.

import * as api from "./api.js";
import { byId, make, signed } from "./dom.js";

const tileSize = 128;

export class Spectrum {
  #editing;
  #labelOf;
  #key = "";
  #strengths = [];

  constructor(editing, labelOf, announce) {
    [this.#editing, this.#labelOf] = [editing, labelOf];
    this.announce = announce;
    editing.addEventListener("selection", () => this.#title());
    editing.addEventListener("edits", () => this.#mark());
    editing.addEventListener("photo", () => {
      this.#key = "";
      this.#title();
    });
  }

  #title() {
    const { attribute } = this.#editing;
    byId("spectrum-title").textContent = attribute ? this.#labelOf(attribute) : "Spectrum";
    this.#mark();
  }

  /** Asks for the strip, where what it shows has changed. */
  async refresh(signal) {
    const { photo, face, attribute } = this.#editing;
    const edits = this.#editing.edits.filter((edit) => edit.face === face && edit.attribute !== attribute);
    const request = { face, attribute, edits, size: tileSize };
    const key = JSON.stringify([photo.id, request]);
    if (!attribute || key === this.#key) return;
    const { blob, strengths } = await api.spectrum(photo.id, request, signal);
    const strip = await createImageBitmap(blob);
    if (this.#editing.photo.id === photo.id && this.#editing.attribute === attribute) {
      this.#key = key;
      this.#show(strip, strengths);
    }
    strip.close();
  }

  #show(strip, strengths) {
    const name = this.#editing.attribute;
    if (String(strengths) !== String(this.#strengths)) {
      this.#strengths = strengths;
      byId("tiles").replaceChildren(...strengths.map((strength) => make("button", {
        class: "tile", type: "button", onclick: () => {
          this.#editing.set({ [this.#editing.attribute]: strength });
          this.announce(`${this.#labelOf(this.#editing.attribute)} ${signed(strength)}`);
        },
      }, make("canvas", { width: tileSize, height: tileSize, "aria-hidden": "true" }), make("span", {}, signed(strength)))));
    }
    const side = strip.height;
    [...byId("tiles").children].forEach((tile, index) => {
      tile.setAttribute("aria-label", `${this.#labelOf(name)} ${signed(strengths[index])}`);
      tile.firstChild.getContext("2d").drawImage(strip, index * side, 0, side, side, 0, 0, tileSize, tileSize);
    });
    this.#mark();
  }

  /** Marks the tile of the present strength. */
  #mark() {
    const { attribute } = this.#editing;
    const strength = attribute ? this.#editing.strength(attribute) : NaN;
    [...byId("tiles").children].forEach((tile, index) => {
      tile.setAttribute("aria-pressed", String(Math.abs(this.#strengths[index] - strength) < 0.001));
    });
  }
}
