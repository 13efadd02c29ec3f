// Whether the server is there.

import * as api from "./api.js";

const heartbeat = 2500;

/** Events: "lost", "back". */
export class Connection extends EventTarget {
  #lost = false;
  #beating = false;
  #timer;

  constructor() {
    super();
    this.#beatLater(heartbeat);
    document.addEventListener("visibilitychange", () => { if (!document.hidden) this.check(); });
    api.watch.late = () => this.check();
  }

  get lost() { return this.#lost; }

  /** Says that a request found no server. */
  lose() {
    if (this.#lost) return;
    this.#lost = true;
    this.dispatchEvent(new Event("lost"));
    this.#beatLater(1000);
  }

  /** Asks at once. */
  check() { this.#beatLater(0); }

  #beatLater(milliseconds) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#beat(), milliseconds);
  }

  async #beat() {
    if (this.#beating || (document.hidden && !this.#lost)) return;
    this.#beating = true;
    try {
      await api.health();
      if (this.#lost) {
        this.#lost = false;
        this.dispatchEvent(new Event("back"));
      }
    } catch {
      this.lose();
    } finally {
      this.#beating = false;
    }
    this.#beatLater(this.#lost ? 1500 : heartbeat);
  }
}
