// Where photos come from: dropped, pasted, chosen; and the before and after of the sample on the start page.

import * as api from "./api.js";
import { byId, setIcon, setLabel } from "./dom.js";
import { t } from "./texts.js";

/** Lets photos be dropped, pasted or chosen anywhere on the page; `take` gets the files. */
export function setUpFiles(take) {
  const input = byId("file");
  input.addEventListener("change", () => {
    if (input.files[0]) take([...input.files]);
    input.value = ""; // so that the same file can be chosen again
  });
  byId("choose").addEventListener("click", () => input.click());

  const hasFiles = (event) => event.dataTransfer?.types.includes("Files");
  let depth = 0;
  const show = () => document.body.classList.toggle("dropping", depth > 0);
  addEventListener("dragenter", (event) => { if (hasFiles(event)) { depth += 1; show(); } });
  addEventListener("dragleave", (event) => { if (hasFiles(event)) { depth -= 1; show(); } });
  addEventListener("dragover", (event) => { if (hasFiles(event)) event.preventDefault(); });
  addEventListener("drop", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    depth = 0;
    show();
    if (event.dataTransfer.files[0]) take([...event.dataTransfer.files]);
  });
  addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    if (files.length === 0) return;
    event.preventDefault();
    take(files);
  });
}

const side = 512;
// Milliseconds: the photo as it is, the way to the edit, the edit, the way back.
const phases = [700, 900, 1700, 700];

/** The sample under some looks, which come and go by themselves. */
export class Demo {
  #photo = null;
  #strip = null;
  #looks = [];
  #playing = false;
  #clock = 0; // milliseconds of playing
  #last = 0;

  constructor() {
    byId("demo-play").addEventListener("click", () => this.#play(!this.#playing));
    addEventListener("pagehide", () => { if (this.#photo) api.forget(this.#photo.id); });
  }

  get loaded() { return this.#strip !== null; }

  /** The sample's photo for an editor, once; `null` where it has been taken. */
  take() {
    const photo = this.#photo;
    this.#photo = null;
    return photo;
  }

  /** Makes the pictures of the looks that show something on the sample, all at once. */
  async load(looks) {
    if (this.#strip) return;
    const photo = await api.addSample();
    const seen = photo.faces[0].attributes;
    this.#looks = looks.filter(({ edits: [{ attribute, strength }] }) => (seen[attribute] > 0.5) === (strength < 0));
    const tiles = [[], ...this.#looks.map((look) => look.edits)];
    const strip = await createImageBitmap(await api.tiles(photo.id, { face: 0, tiles, size: side }));
    [this.#photo, this.#strip] = [photo, strip];
    byId("demo").classList.add("shown");
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) {
      this.#clock = phases[0] + phases[1] / 2;
      this.#draw();
      this.#play(false);
    } else {
      this.#play(true);
    }
  }

  #play(value) {
    this.#playing = value;
    setIcon(byId("demo-play"), value ? "pause" : "play");
    setLabel(byId("demo-play"), t(value ? "pause" : "play"));
    this.#last = performance.now();
    const step = (now) => {
      if (!this.#playing) return;
      // Hidden, it costs nothing and begins where it was.
      if (byId("demo").checkVisibility()) {
        this.#clock += now - this.#last;
        this.#draw();
      }
      this.#last = now;
      requestAnimationFrame(step);
    };
    if (value) requestAnimationFrame(step);
  }

  #draw() {
    const whole = phases.reduce((sum, phase) => sum + phase);
    const index = Math.floor(this.#clock / whole) % this.#looks.length;
    let rest = this.#clock % whole;
    const phase = phases.findIndex((length) => rest < length || (rest -= length, false));
    const way = rest / phases[phase];
    const eased = way * way * (3 - 2 * way);
    const shown = [0, eased, 1, 1 - eased][phase]; // how much of the edit can be seen, from the right
    const canvas = byId("demo-picture");
    const context = canvas.getContext("2d");
    const { width } = canvas;
    const edge = width * (1 - shown);
    const paint = (tile, left, right) => {
      if (right <= left) return;
      const scale = side / width;
      context.drawImage(
        this.#strip, tile * side + left * scale, 0, (right - left) * scale, side, left, 0, right - left, width);
    };
    paint(0, 0, edge);
    paint(index + 1, edge, width);
    if (shown > 0 && shown < 1) {
      context.fillStyle = "#fff";
      context.fillRect(edge - 2, 0, 4, width);
    }
    const caption = byId("demo-caption");
    const text = shown > 0.5 ? this.#looks[index].label : t("asIs");
    if (caption.textContent !== text) caption.textContent = text;
  }
}
