// What is being edited: the photo, the face and attribute selected, and the strengths and styles with their history.
//
// Events: "photo" (another photo), "edits" (a strength changed; `detail.live` while a slider moves), "selection"
// (`detail.faceChanged`).

import { History } from "./history.js";

/**
 * Strengths and styles by face and attribute, strengths that each slider had before, and the strokes of the brush that
 * keeps a region as it was. Never changed in place.
 */
const untouched = Object.freeze({ values: {}, styles: {}, trails: {}, strokes: [] });

/** The styles of attributes that cannot do without one, until another is chosen. */
export const neededStyles = new Map();

export class EditedDocument extends EventTarget {
  photo = null; // { id, kind, width, height, hasAlpha, faces } as the server says, with `name` and `again`
  face = 0;
  all = false; // whether every face is edited, and not the selected one alone
  attribute = null;
  #history = new History([untouched]);
  #live = null; // { faces, name, value } of a slider that is moving

  /** Begins with a photo as the server knows it; `state` as `state` gave it goes on with its edits. */
  open(photo, state = null) {
    this.photo = photo;
    this.face = state?.face ?? 0;
    this.all = state?.all ?? false;
    this.#history = state ? new History(state.states, state.index) : new History([untouched]);
    this.#live = null;
    this.#tell("photo");
  }

  /** All that is needed to go on later. */
  get state() {
    return { face: this.face, all: this.all, states: this.#history.states, index: this.#history.index };
  }

  select({ face = this.face, attribute = this.attribute, all = this.all }) {
    if (face === this.face && attribute === this.attribute && all === this.all) return;
    const faceChanged = face !== this.face || all !== this.all;
    [this.face, this.attribute, this.all] = [face, attribute, all];
    this.#tell("selection", { faceChanged });
  }

  /** The faces that an edit changes. */
  get targets() { return this.all ? this.photo.faces.map((_, index) => index) : [this.face]; }

  /** The strength of an attribute of the selected face. */
  strength(name, face = this.face) {
    const live = this.#live;
    if (live && live.name === name && live.faces.includes(face)) return live.value;
    return this.#history.value.values[face]?.[name] ?? 0;
  }

  /** How an attribute of the selected face is drawn; `undefined` where no style was chosen. */
  style(name, face = this.face) { return styleIn(this.#history.value, face, name); }

  /** All strengths that are not zero: `[{ face, attribute, strength, style }]`. */
  get edits() {
    const { value } = this.#history;
    const values = structuredClone(value.values);
    for (const face of this.#live?.faces ?? []) (values[face] ??= {})[this.#live.name] = this.#live.value;
    return editsOf({ ...value, values });
  }

  editsOf(face) {
    return this.edits.filter((edit) => edit.face === face).map(({ face: _, ...edit }) => edit);
  }

  /** The strokes of the brush: `[{ points: [x, y, …], width, erases }]` in the photo's pixels. */
  get strokes() { return strokesIn(this.#history.value); }

  /** Sets the strokes as one step of history. */
  setStrokes(strokes) {
    this.#live = null;
    this.#history.push({ ...this.#history.value, strokes });
    this.#tell("edits", { live: false });
  }

  get changeCount() { return this.edits.length; }
  get canUndo() { return this.#history.canUndo; }
  get canRedo() { return this.#history.canRedo; }

  /** Shows a strength while its slider moves, since `start`, without a step of history. */
  move(name, value, start) {
    this.#live = { faces: this.targets, name, value };
    this.#tell("edits", { live: true, start });
  }

  /** Takes back what `move` showed. */
  cancelMove() {
    if (!this.#live) return;
    this.#live = null;
    this.#tell("edits", { live: false });
  }

  /**
   * Sets strengths of the selected face, or of all, as one step of history: numbers, or `{ strength, style }`, where the style `null`
   * is the standard one. `key` joins steps that belong together.
   */
  set(strengths, key = null) {
    this.#live = null;
    const present = this.#history.value;
    let next = present;
    for (const face of this.targets) next = withStrengths(next, face, strengths);
    if (next !== present) {
      const joined = this.#history.push(next, key);
      // A joined step has its first value in the slider's trail already.
      if (joined) this.#history.value = { ...next, trails: present.trails };
    }
    this.#tell("edits", { live: false });
  }

  /** Sets edits `[{ attribute, strength, style }]` of the selected face, or of all, as one step of history. */
  apply(edits) {
    this.set(Object.fromEntries(edits.map(({ attribute, strength, style = null }) => [attribute, { strength, style }])));
  }

  /** Whether a slider of the selected face has a value to go back to. */
  canStepBack(name) { return (this.#history.value.trails[this.face]?.[name] ?? []).length > 0; }

  /** Puts one slider of the selected face back to the value it had before: its own undo. */
  stepBack(name) {
    const { values, trails } = this.#history.value;
    const trail = trails[this.face]?.[name] ?? [];
    if (trail.length === 0) return;
    this.#live = null;
    this.#history.push({
      ...this.#history.value,
      values: { ...values, [this.face]: { ...values[this.face], [name]: trail.at(-1) } },
      trails: { ...trails, [this.face]: { ...trails[this.face], [name]: trail.slice(0, -1) } },
    });
    this.#tell("edits", { live: false });
  }

  resetAll() {
    if (this.changeCount === 0) return;
    this.#live = null;
    this.#history.push({ ...untouched, strokes: this.strokes });
    this.#tell("edits", { live: false });
  }

  undo() { this.#step(this.#history.index - 1); }
  redo() { this.#step(this.#history.index + 1); }
  /** Goes to a step of `steps`. */
  go(index) { this.#step(index); }

  /**
   * The steps of the history from the first: `{ index, isPresent, edits, before, isStroke }`, with the edits of the step
   * before.
   */
  get steps() {
    const { states, index } = this.#history;
    return states.map((state, at) => ({
      index: at, isPresent: at === index, edits: editsOf(state), before: at > 0 ? editsOf(states[at - 1]) : [],
      isStroke: at > 0 && JSON.stringify(strokesIn(state)) !== JSON.stringify(strokesIn(states[at - 1])),
    }));
  }

  #step(index) {
    this.#live = null;
    if (this.#history.go(index)) this.#tell("edits", { live: false });
  }

  #tell(type, detail = {}) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

/** The edits of a saved state, and its strokes. */
export const editsOfState = ({ states, index }) => editsOf(states[index]);
export const strokesOfState = ({ states, index }) => strokesIn(states[index]);

const strokesIn = (state) => state.strokes ?? untouched.strokes;

/** What the server is asked for: edits, and the mask of what stays as it was. */
export async function changes(photo, edits, strokes) {
  if (edits.length === 0 || strokes.length === 0) return { edits };
  const { maskOf } = await import("./brush.js");
  return { edits, protect: maskOf(photo, strokes) };
}

const styleIn = ({ styles }, face, name) => styles?.[face]?.[name] ?? neededStyles.get(name);

/** Strengths by face as a list, without zeros. */
function editsOf(state) {
  return Object.entries(state.values).flatMap(([face, strengths]) =>
    Object.entries(strengths)
      .filter(([, strength]) => strength !== 0)
      .map(([attribute, strength]) => ({ face: Number(face), attribute, strength, style: styleIn(state, face, attribute) })));
}

/** A state with other strengths of a face; the same where nothing changes. */
function withStrengths(state, face, strengths) {
  const [before, stylesBefore] = [state.values[face] ?? {}, state.styles?.[face] ?? {}];
  const asked = Object.entries(strengths).map(([name, value]) => [name, typeof value === "number" ? { strength: value } : value]);
  const changed = asked.filter(([name, { strength }]) => strength !== (before[name] ?? 0));
  const restyled = asked.filter(([name, { style }]) => style !== undefined && style !== (stylesBefore[name] ?? null));
  if (changed.length === 0 && restyled.length === 0) return state;
  const trails = { ...state.trails[face] };
  for (const [name] of changed) trails[name] = [...(trails[name] ?? []), before[name] ?? 0];
  const changes = (list, part) => Object.fromEntries(list.map(([name, value]) => [name, value[part]]));
  return {
    ...state,
    values: { ...state.values, [face]: { ...before, ...changes(changed, "strength") } },
    styles: { ...state.styles, [face]: { ...stylesBefore, ...changes(restyled, "style") } },
    trails: { ...state.trails, [face]: trails },
  };
}
