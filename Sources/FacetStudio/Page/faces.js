// The faces' outlines over the photo; a click picks one.

import { byId, make } from "./dom.js";

export class FaceOutlines {
  #editing;
  #view;

  constructor(editing, view) {
    [this.#editing, this.#view] = [editing, view];
    editing.addEventListener("photo", () => this.#build());
    editing.addEventListener("selection", () => this.#mark());
    view.addEventListener("view", () => this.#place());
    byId("toggle-faces").addEventListener("click", () => { this.shown = byId("faces").hidden; });
  }

  set shown(value) {
    byId("faces").hidden = !value;
    byId("toggle-faces").setAttribute("aria-pressed", String(value));
    this.#mark();
  }

  #build() {
    const { faces } = this.#editing.photo;
    byId("faces").replaceChildren(...faces.map((face, index) => make("button", {
      class: "face", type: "button", "aria-label": `Face ${index + 1} of ${faces.length}`,
      onclick: () => this.#editing.select({ face: index }),
    }, make("span", { class: "face-number", "aria-hidden": "true" }, String(index + 1)))));
    this.#mark();
    this.#place();
  }

  #mark() {
    const { box } = this.#editing.photo?.faces[this.#editing.face] ?? {};
    this.#view.interest = box ? { x: box.x + box.width / 2, y: box.y + box.height / 2 } : null;
    [...byId("faces").children].forEach((button, index) => {
      button.setAttribute("aria-pressed", String(index === this.#editing.face));
    });
  }

  #place() {
    if (!this.#editing.photo) return;
    const { x, y } = this.#view.frame;
    const scale = this.#view.scale;
    [...byId("faces").children].forEach((button, index) => {
      const [corner, right, , below] = this.#editing.photo.faces[index].outline;
      const [dx, dy] = [right[0] - corner[0], right[1] - corner[1]];
      button.style.width = `${Math.hypot(dx, dy) * scale}px`;
      button.style.height = `${Math.hypot(below[0] - corner[0], below[1] - corner[1]) * scale}px`;
      button.style.transform =
        `translate(${x + corner[0] * scale}px, ${y + corner[1] * scale}px) rotate(${Math.atan2(dy, dx)}rad)`;
    });
  }
}
