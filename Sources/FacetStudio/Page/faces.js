// The faces: their outlines over the photo and their pictures in the panel; a click picks one.

import { byId, drawFace, make } from "./dom.js";
import { t } from "./texts.js";

/** The positions of faces in the order in which one reads: by rows, from the left. */
export function readingOrder(faces) {
  const middle = ({ box }) => ({ x: box.x + box.width / 2, y: box.y + box.height / 2 });
  const rest = faces.map((face, index) => ({ index, ...middle(face), height: face.box.height }))
    .sort((a, b) => a.y - b.y);
  const order = [];
  while (rest.length > 0) {
    // A row: those whose middle is not below the first one's lower half.
    const limit = rest[0].y + rest[0].height / 2;
    const count = rest.filter((face) => face.y <= limit).length;
    order.push(...rest.splice(0, count).sort((a, b) => a.x - b.x).map((face) => face.index));
  }
  return order;
}

export class Faces {
  #editing;
  #view;
  #order = [];

  constructor(editing, view) {
    [this.#editing, this.#view] = [editing, view];
    editing.addEventListener("photo", () => this.#build());
    editing.addEventListener("selection", () => this.#mark());
    editing.addEventListener("edits", ({ detail }) => { if (!detail.live) this.#mark(); });
    view.addEventListener("view", () => this.#place());
    byId("toggle-faces").addEventListener("click", () => { this.shown = byId("faces").hidden; });
  }

  set shown(value) {
    byId("faces").hidden = !value;
    byId("toggle-faces").setAttribute("aria-pressed", String(value));
    this.#mark();
  }

  /** The number that people know a face by, from 1. */
  numberOf(face) { return this.#order.indexOf(face) + 1; }

  /** Draws the faces' pictures, from one of the whole photo. */
  draw(bitmap) {
    const { photo } = this.#editing;
    if (photo.faces.length < 2) return;
    for (const button of byId("face-picker").querySelectorAll("[data-face]")) {
      drawFace(button.firstChild, bitmap, photo, Number(button.dataset.face));
    }
  }

  #build() {
    const { faces } = this.#editing.photo;
    this.#order = readingOrder(faces);
    const select = (face) => this.#editing.select({ face, all: false });
    byId("faces").replaceChildren(...this.#order.map((face, position) => make("button", {
      class: "face", type: "button", "data-face": face,
      "aria-label": t("faceOf", { number: position + 1, count: faces.length }), onclick: () => select(face),
    }, make("span", { class: "face-number", "aria-hidden": "true" }, String(position + 1)))));
    const picker = byId("face-picker");
    picker.hidden = faces.length < 2;
    byId("toggle-faces").hidden = faces.length < 2;
    picker.replaceChildren(
      make("button", {
        class: "chip", type: "button", id: "all-faces", onclick: () => this.#editing.select({ all: !this.#editing.all }),
      }, t("allFaces")),
      ...this.#order.map((face, position) => make("button", {
        class: "face-chip", type: "button", "data-face": face, title: t("face", { number: position + 1 }),
        onclick: () => select(face),
      }, make("canvas", { width: 80, height: 80, "aria-hidden": "true" }))));
    this.#mark();
    this.#place();
  }

  #mark() {
    const { photo, face: selected, all, edits } = this.#editing;
    if (!photo) return;
    const { box } = photo.faces[selected];
    this.#view.interest = { x: box.x + box.width / 2, y: box.y + box.height / 2 };
    for (const button of document.querySelectorAll("#faces [data-face], #face-picker [data-face]")) {
      const face = Number(button.dataset.face);
      const edited = edits.some((edit) => edit.face === face);
      button.setAttribute("aria-pressed", String(all || face === selected));
      button.classList.toggle("edited", edited);
      if (button.classList.contains("face-chip")) {
        const number = this.numberOf(face);
        button.setAttribute("aria-label", t(edited ? "faceEdited" : "face", { number }));
      }
    }
    byId("all-faces")?.setAttribute("aria-pressed", String(all));
  }

  #place() {
    const { photo } = this.#editing;
    if (!photo) return;
    const { x, y } = this.#view.frame;
    const scale = this.#view.scale;
    for (const button of byId("faces").children) {
      const [corner, right, , below] = photo.faces[Number(button.dataset.face)].outline;
      const [dx, dy] = [right[0] - corner[0], right[1] - corner[1]];
      const width = Math.hypot(dx, dy) * scale;
      button.style.width = `${width}px`;
      button.style.height = `${Math.hypot(below[0] - corner[0], below[1] - corner[1]) * scale}px`;
      button.style.transform =
        `translate(${x + corner[0] * scale}px, ${y + corner[1] * scale}px) rotate(${Math.atan2(dy, dx)}rad)`;
      button.classList.toggle("small", width < 64); // its number would hide it
    }
  }
}
