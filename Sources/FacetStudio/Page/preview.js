// The edited photo on the screen, following the sliders.

import * as api from "./api.js";
import { changes } from "./document.js";
import { debounced } from "./dom.js";
import { LatestOnly } from "./latest.js";

const liveSize = 512;
const stillAfter = 180; // milliseconds without a change after which the picture is made sharp

/**
 * Asks for previews and shows them. While a slider moves they are small, one at a time, and each is shown when it
 * comes; when all is still, the visible part is made as sharp as the screen.
 *
 * Events: "shown" (`detail`: start, server, shown in milliseconds, live), "still" (`detail.signal`), "failed"
 * (`detail.error`), "busy" (`detail.busy`).
 */
export class Preview extends EventTarget {
  #editing;
  #view;
  #largest = 2048;
  #loop = new LatestOnly((request) => this.#work(request));
  #sharpening = null; // AbortController of the work for a still picture
  #sequence = 0;
  // A name of this page's own; crypto.randomUUID is there on secure origins alone.
  #stream = Array.from(crypto.getRandomValues(new Uint32Array(4)), (part) => part.toString(36)).join("-");
  #layers = { before: [], after: [] }; // each the whole photo, and the visible part where that is less
  #sharpenLater = debounced(stillAfter, () => this.refresh());

  constructor(editing, view) {
    super();
    [this.#editing, this.#view] = [editing, view];
    view.addEventListener("view", () => { if (this.#isAwake && this.#layers.before[0]) this.#sharpenLater(); });
  }

  set largest(size) { this.#largest = size; }

  /** Begins with the document's photo, on the view that it takes. */
  open() {
    this.#sharpening?.abort();
    this.#loop.drop();
    this.#view.open(this, this.#editing.photo);
    this.#replace({ before: [], after: [] });
    this.refresh();
  }

  /** While something else has the view this sleeps. */
  get #isAwake() { return this.#view.isOwnedBy(this); }

  /** The sharpest picture that there is of the whole photo before the edits. */
  get original() { return this.#layers.before[0]?.bitmap ?? null; }

  /** Shows the edits quickly, for a slider that moves. `start`: when it moved, by `performance.now()`'s clock. */
  follow(start) {
    this.#sharpening?.abort();
    this.#loop.ask({ live: true, start });
    this.#sharpenLater();
  }

  /** Shows the edits as sharp as the screen can. */
  refresh() {
    if (this.#editing.photo && this.#isAwake) this.#loop.ask({ live: false });
  }

  /** The same once nothing has changed for a moment. */
  refreshSoon() { this.#sharpenLater(); }

  /** Shows what it has again, after the view was used for something else. */
  restore() {
    this.#view.open(this, this.#editing.photo);
    this.#replace(this.#layers);
    this.refresh();
  }

  async #work({ live, start }) {
    if (!this.#isAwake) return;
    const photo = this.#editing.photo;
    const busy = setTimeout(() => this.#tell("busy", { busy: true }), 300);
    try {
      if (live) await this.#live(photo, start);
      else await this.#still(photo);
    } catch (error) {
      if (!api.isAborted(error) && error.type !== "superseded") this.#tell("failed", { error });
    } finally {
      clearTimeout(busy);
      this.#tell("busy", { busy: false });
    }
  }

  async #live(photo, start) {
    const edits = this.#shown;
    const region = this.#view.visibleRegion;
    if (this.#layers.after.at(-1)?.edits === edits) return; // a slider that is let go says its last place again
    const size = Math.min(liveSize, this.#size(region));
    const { bitmap, server } = await this.#fetch(photo, region, size);
    if (!this.#accept(photo, bitmap)) return;
    const [whole] = this.#layers.after;
    const layer = { bitmap, region, size, edits };
    this.#replace({ ...this.#layers, after: region ? [whole, layer] : [layer] });
    this.#tell("shown", { start, server, shown: performance.now(), live: true });
  }

  async #still(photo) {
    this.#sharpening?.abort();
    this.#sharpening = new AbortController();
    const { signal } = this.#sharpening;
    const edits = this.#shown;
    const untouched = this.#editing.changeCount === 0;
    const region = this.#view.visibleRegion;
    const size = region ? Math.min(1024, this.#size(null)) : this.#size(null);

    let [before] = this.#layers.before;
    if (!this.#isSharp(before, size)) {
      before = { bitmap: await createImageBitmap(await api.picture(photo.id, size, signal)), size };
    }
    let [after] = this.#layers.after;
    if (untouched) {
      after = { ...before, edits };
    } else if (after?.edits !== edits || !this.#isSharp(after, size)) {
      after = { bitmap: (await this.#fetch(photo, null, size, signal)).bitmap, size, edits };
    }
    const parts = { before: [], after: [] };
    const [, oldBefore] = this.#layers.before;
    const [, oldAfter] = this.#layers.after;
    if (region && oldBefore && JSON.stringify(oldBefore.region) === JSON.stringify(region) && oldAfter?.sharp && oldAfter.edits === edits) {
      parts.before.push(oldBefore);
      parts.after.push(oldAfter);
    } else if (region) {
      const part = { ...(await this.#fetch(photo, region, this.#size(region), signal, [])), region };
      parts.before.push(part);
      parts.after.push(untouched ? { ...part, edits, sharp: true }
        : { ...(await this.#fetch(photo, region, this.#size(region), signal)), region, edits, sharp: true });
    }
    const next = { before: [before, ...parts.before], after: [after, ...parts.after] };
    if (!this.#accept(photo, ...[...next.before, ...next.after].map((layer) => layer.bitmap))) return;
    this.#replace(next);
    this.#tell("still", { signal });
  }

  /** What the picture shows, as text. */
  get #shown() { return JSON.stringify([this.#editing.edits, this.#editing.strokes]); }

  async #fetch(photo, region, size, signal, edits = this.#editing.edits) {
    const request = { ...(await changes(photo, edits, this.#editing.strokes)), size };
    if (region) request.region = region;
    // The unedited part must not overtake the edited one, nor be overtaken.
    if (edits.length > 0) Object.assign(request, { sequence: this.#sequence++, stream: this.#stream });
    const { blob, server } = await api.preview(photo.id, request, signal);
    return { bitmap: await createImageBitmap(blob), server };
  }

  /** The pixels that the screen has for the longer side of a region or the whole photo, within what there is. */
  #size(region) {
    const { width, height } = region ?? this.#editing.photo;
    return Math.max(32, Math.min(this.#largest, this.#view.longestSide(region), Math.max(width, height)));
  }

  #isSharp(layer, size) { return Boolean(layer) && layer.size >= size; }

  /** Whether pictures still belong to the open photo; if not, they are let go. */
  #accept(photo, ...bitmaps) {
    if (this.#editing.photo.id === photo.id) return true;
    for (const bitmap of bitmaps) bitmap.close();
    return false;
  }

  /** Shows other layers and lets go of the bitmaps that are no longer among them. */
  #replace(next) {
    const kept = new Set([...next.before, ...next.after].map((layer) => layer?.bitmap));
    const old = [...this.#layers.before, ...this.#layers.after];
    this.#layers = next;
    this.#view.show(this, { before: next.before.filter(Boolean), after: next.after.filter(Boolean) });
    for (const layer of old) if (layer && !kept.has(layer.bitmap)) layer.bitmap.close();
  }

  #tell(type, detail) { this.dispatchEvent(new CustomEvent(type, { detail })); }
}
