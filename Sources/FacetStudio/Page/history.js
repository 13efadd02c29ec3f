// Undo and redo over values that are never changed in place.

export class History {
  #past = [];
  #future = [];
  #key = null;
  #time = 0;

  constructor(value) {
    this.value = value;
  }

  get canUndo() { return this.#past.length > 0; }
  get canRedo() { return this.#future.length > 0; }

  /**
   * Makes `value` the present one. Steps with the same key that follow each other within a second are one step, so
   * that ten presses of an arrow key are undone at once.
   */
  push(value, key = null, now = performance.now()) {
    const continues = key !== null && key === this.#key && now - this.#time < 1000 && this.canUndo;
    if (!continues) this.#past.push(this.value);
    if (this.#past.length > 500) this.#past.shift();
    this.#future = [];
    [this.value, this.#key, this.#time] = [value, key, now];
    return continues;
  }

  undo() {
    if (!this.canUndo) return false;
    this.#future.push(this.value);
    [this.value, this.#key] = [this.#past.pop(), null];
    return true;
  }

  redo() {
    if (!this.canRedo) return false;
    this.#past.push(this.value);
    [this.value, this.#key] = [this.#future.pop(), null];
    return true;
  }
}
