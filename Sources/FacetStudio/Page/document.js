// What is being edited: the photo, the face and attribute selected, and the strengths with their history.
//
// Events: "photo" (another photo, nothing edited), "edits" (a strength changed; `detail.live` while a slider moves), "selection".

import { History } from "./history.js";

/** Strengths by face and attribute, and those that each slider had before. Never changed in place. */
const untouched = Object.freeze({ values: {}, trails: {} });

export class EditedDocument extends EventTarget {
  photo = null; // { id, kind, width, height, faces } as the server says, with `name` and `file`
  face = 0;
  attribute = null;
  #history = new History(untouched);
  #live = null; // { face, name, value } of a slider that is moving

  /** Begins with a photo as the server knows it. */
  open(photo) {
    this.photo = photo;
    this.face = 0;
    this.#history = new History(untouched);
    this.#live = null;
    this.#tell("photo");
  }

  /** The same photo under another id, after the server has forgotten it. */
  reopen(id) {
    this.photo = { ...this.photo, id };
  }

  select({ face = this.face, attribute = this.attribute }) {
    if (face === this.face && attribute === this.attribute) return;
    const faceChanged = face !== this.face;
    [this.face, this.attribute] = [face, attribute];
    this.#tell("selection", { faceChanged });
  }

  /** The strength of an attribute of the selected face. */
  strength(name, face = this.face) {
    const live = this.#live;
    if (live && live.face === face && live.name === name) return live.value;
    return this.#history.value.values[face]?.[name] ?? 0;
  }

  /** All strengths that are not zero: `[{ face, attribute, strength }]`. */
  get edits() {
    const values = structuredClone(this.#history.value.values);
    if (this.#live) (values[this.#live.face] ??= {})[this.#live.name] = this.#live.value;
    return Object.entries(values).flatMap(([face, strengths]) =>
      Object.entries(strengths)
        .filter(([, strength]) => strength !== 0)
        .map(([attribute, strength]) => ({ face: Number(face), attribute, strength })));
  }

  get changeCount() { return this.edits.length; }
  get canUndo() { return this.#history.canUndo; }
  get canRedo() { return this.#history.canRedo; }

  /** Shows a strength while its slider moves, since `start`, without a step of history. */
  move(name, value, start) {
    this.#live = { face: this.face, name, value };
    this.#tell("edits", { live: true, start });
  }

  /** Sets strengths of the selected face, as one step of history. `key` joins steps that belong together. */
  set(strengths, key = null) {
    const face = this.face;
    this.#live = null;
    const present = this.#history.value;
    const before = present.values[face] ?? {};
    const changed = Object.entries(strengths).filter(([name, value]) => value !== (before[name] ?? 0));
    if (changed.length > 0) {
      const now = performance.now();
      const trails = { ...present.trails[face] };
      for (const [name] of changed) trails[name] = [...(trails[name] ?? []), before[name] ?? 0];
      const values = { ...before, ...Object.fromEntries(changed) };
      const joined = this.#history.push(this.#with(face, values, trails), key, now);
      // A joined step has its first value in the slider's trail already.
      if (joined) this.#history.value = this.#with(face, values, present.trails[face]);
    }
    this.#tell("edits", { live: false });
  }

  /** Whether a slider of the selected face has a value to go back to. */
  canStepBack(name) { return (this.#history.value.trails[this.face]?.[name] ?? []).length > 0; }

  /** Puts one slider of the selected face back to the value it had before: its own undo. */
  stepBack(name) {
    const face = this.face;
    const { values, trails } = this.#history.value;
    const trail = trails[face]?.[name] ?? [];
    if (trail.length === 0) return;
    this.#live = null;
    this.#history.push(
      this.#with(face, { ...values[face], [name]: trail.at(-1) }, { ...trails[face], [name]: trail.slice(0, -1) }));
    this.#tell("edits", { live: false });
  }

  resetAll() {
    if (this.changeCount === 0) return;
    this.#live = null;
    this.#history.push(untouched);
    this.#tell("edits", { live: false });
  }

  undo() { this.#step("undo"); }
  redo() { this.#step("redo"); }

  #step(direction) {
    this.#live = null;
    if (this.#history[direction]()) this.#tell("edits", { live: false });
  }

  #with(face, faceValues, faceTrails) {
    const { values, trails } = this.#history.value;
    return { values: { ...values, [face]: faceValues }, trails: { ...trails, [face]: faceTrails } };
  }

  #tell(type, detail = {}) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
