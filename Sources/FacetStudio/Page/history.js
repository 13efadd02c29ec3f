// Undo and redo over values that are never changed in place.

const longest = 200;

export class History {
  #states;
  #index = 0;
  #key = null;
  #time = 0;

  /** @param states values from the first to the last; @param index of the present one. */
  constructor(states, index = 0) {
    [this.#states, this.#index] = [states, index];
  }

  get value() { return this.#states[this.#index]; }
  set value(value) { this.#states[this.#index] = value; }
  get states() { return this.#states; }
  get index() { return this.#index; }
  get canUndo() { return this.#index > 0; }
  get canRedo() { return this.#index < this.#states.length - 1; }

  /**
   * Makes `value` the present one. Steps with the same key that follow each other within a second are one step, so
   * that ten presses of an arrow key are undone at once.
   */
  push(value, key = null, now = performance.now()) {
    const continues = key !== null && key === this.#key && now - this.#time < 1000 && this.canUndo;
    const kept = this.#states.slice(0, this.#index + (continues ? 0 : 1));
    this.#states = [...kept.slice(-longest), value];
    [this.#index, this.#key, this.#time] = [this.#states.length - 1, key, now];
    return continues;
  }

  /** Makes another state the present one. */
  go(index) {
    if (index === this.#index || !this.#states[index]) return false;
    [this.#index, this.#key] = [index, null];
    return true;
  }

  undo() { return this.go(this.#index - 1); }
  redo() { return this.go(this.#index + 1); }
}
