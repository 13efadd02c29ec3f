// Work of which only the newest request matters.

/**
 * Runs one piece of work at a time. What is asked for meanwhile waits, and what waits is replaced by what is asked
 * for later: so there is never more than one in flight and one pending.
 */
export class LatestOnly {
  #work;
  #pending = null;
  #running = false;

  /** @param work called with the value asked for; it handles its own errors. */
  constructor(work) {
    this.#work = work;
  }

  get idle() { return !this.#running && this.#pending === null; }

  ask(value) {
    this.#pending = { value };
    if (!this.#running) this.#run();
  }

  /** Forgets what waits. */
  drop() { this.#pending = null; }

  async #run() {
    this.#running = true;
    try {
      while (this.#pending) {
        const { value } = this.#pending;
        this.#pending = null;
        await this.#work(value);
      }
    } finally {
      this.#running = false;
    }
  }
}
