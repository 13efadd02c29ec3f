// Where photos come from: dropped, pasted, chosen, the sample, random faces.

import * as api from "./api.js";
import { byId, make } from "./dom.js";

const strangerCount = 8;

/** Lets a photo be dropped, pasted or chosen anywhere on the page; `take` gets the file. */
export function setUpFiles(take) {
  const input = byId("file");
  input.addEventListener("change", () => {
    if (input.files[0]) take(input.files[0]);
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
    if (event.dataTransfer.files[0]) take(event.dataTransfer.files[0]);
  });
  addEventListener("paste", (event) => {
    const file = [...(event.clipboardData?.files ?? [])][0];
    if (!file) return;
    event.preventDefault();
    take(file);
  });
}

/** Faces that nobody has, as buttons; `open` gets the photo of the one that is chosen. */
export class Strangers {
  #open;
  #photos = [];
  #round = 0;

  constructor(open) {
    this.#open = open;
    byId("more-faces").addEventListener("click", () => this.refresh());
  }

  get loaded() { return this.#photos.length > 0; }

  /** Makes other faces, one after the other. */
  async refresh() {
    const round = ++this.#round;
    const old = this.#photos;
    this.#photos = [];
    const buttons = Array.from({ length: strangerCount }, (_, index) => make("button", {
      class: "stranger", type: "button", disabled: true, "aria-label": `Random face ${index + 1}`,
    }, make("canvas", { width: 160, height: 160, "aria-hidden": "true" })));
    byId("strangers").replaceChildren(...buttons.map((button) => make("li", {}, button)));
    for (const photo of old) api.removePhoto(photo.id).catch(() => {});
    try {
      for (const button of buttons) {
        const photo = await api.addRandomFace(Math.floor(Math.random() * 2 ** 32));
        photo.again = () => api.addRandomFace(photo.seed);
        if (round !== this.#round) {
          api.removePhoto(photo.id).catch(() => {});
          return;
        }
        this.#photos.push(photo);
        const bitmap = await createImageBitmap(await api.picture(photo.id, 160));
        button.firstChild.getContext("2d").drawImage(bitmap, 0, 0, 160, 160);
        bitmap.close();
        button.disabled = false;
        button.addEventListener("click", () => this.#choose(photo));
      }
    } catch {
      // Random faces are an extra: without them the page works as well. The server's absence shows elsewhere.
    }
  }

  /** Lets the server forget them, while the page goes away. */
  forget() { for (const photo of this.#photos) api.forget(photo.id); }

  #choose(photo) {
    this.#round += 1;
    for (const other of this.#photos) if (other.id !== photo.id) api.removePhoto(other.id).catch(() => {});
    this.#photos = [];
    this.#open(photo);
  }
}
