// One face becoming another, on the stage: two ends, a place between them, playing.

import * as api from "./api.js";
import { changes } from "./document.js";
import { byId, clamp, make, setIcon, setLabel } from "./dom.js";
import { t } from "./texts.js";

const size = 512;
const frameCount = 24;
const seconds = 1.6; // from one face to the other

/** Events: "failed" (`detail.error`), "busy" (`detail.busy`). */
export class Morph extends EventTarget {
  #view;
  #ends = [null, null]; // { photo, face, name, edits, strokes, first }
  #frames = [];
  #at = 0;
  #playing = false;
  #abort = null;

  /** @param formats of files that the server makes. */
  constructor(view, formats) {
    super();
    this.#view = view;
    byId("morph-format").replaceChildren(...formats.map((format) => make("option", { value: format }, t(`format-${format}`))));
    byId("morph-at").addEventListener("input", (event) => {
      this.#stop();
      this.#show(event.target.valueAsNumber);
    });
    byId("morph-play").addEventListener("click", () => this.#playing ? this.#stop() : this.#play());
    byId("morph-swap").addEventListener("click", () => {
      this.#ends.reverse();
      this.#drawEnds();
      this.#load();
    });
  }

  /** Whether there are two faces. */
  get complete() { return this.#ends.every(Boolean); }

  /**
   * Begins with the edited face, `{ photo, face, name, edits, strokes }`; the other end stays from before, where there was one and it is another. `others` are
   * faces that can be its second one, as `setSecond` takes them.
   */
  begin(first, others) {
    const isFirst = (end) => end?.photo === first.photo && end.face === first.face;
    const other = this.#ends.find((end) => end && !end.first && !isFirst(end)) ?? null;
    this.#ends = [{ ...first, first: true }, other];
    this.#clear();
    this.#view.open(this, { width: size, height: size });
    this.#drawEnds();
    byId("morph-faces").replaceChildren(...others.map((end) => {
      const canvas = make("canvas", { width: 80, height: 80, "aria-hidden": "true" });
      drawEnd(canvas, end).catch(() => {});
      return make("button", {
        class: "face-chip", type: "button", "aria-label": end.name, title: end.name, onclick: () => this.setSecond(end),
      }, canvas);
    }));
    this.#load();
  }

  /** Takes the face to end with: `{ photo, face, name, edits, strokes }`. */
  setSecond(end) {
    this.#ends = [this.#ends.find((own) => own?.first), { ...end, first: false }];
    this.#drawEnds();
    this.#load();
  }

  /** The photos under other ids, after the server has forgotten them. */
  reload() { this.#load(); }

  end() {
    this.#abort?.abort();
    this.#clear();
  }

  /** The animation there and back, as a file. */
  async download() {
    const format = byId("morph-format").value;
    return { blob: await api.morph({ ...(await this.#request()), format, thereAndBack: true }), name: `morph.${format}` };
  }

  async #request() {
    const [from, to] = await Promise.all(this.#ends.map(async ({ photo, face, edits, strokes }) =>
      ({ photo: photo.id, face, ...(await changes(photo, edits.map((edit) => ({ ...edit, face })), strokes)) })));
    return { from, to, frames: frameCount, size };
  }

  async #load() {
    const [from, to] = this.#ends;
    this.#clear();
    this.#abort?.abort();
    this.#abort = new AbortController();
    const { signal } = this.#abort;
    const tell = (busy) => this.dispatchEvent(new CustomEvent("busy", { detail: { busy } }));
    tell(true);
    try {
      // Until there are two, the first face as it is.
      const strip = await createImageBitmap(from && to
        ? await api.morph({ ...(await this.#request()), format: "jpeg", thereAndBack: false }, signal)
        : await tile(from ?? to, size, signal));
      const frames = await Promise.all(Array.from({ length: strip.width / strip.height }, (_, index) =>
        createImageBitmap(strip, index * strip.height, 0, strip.height, strip.height)));
      strip.close();
      if (signal.aborted) {
        for (const frame of frames) frame.close();
        return;
      }
      this.#frames = frames;
      const complete = frames.length > 1;
      this.#enable(complete);
      if (!complete) this.#show(0);
      else if (matchMedia("(prefers-reduced-motion: reduce)").matches) this.#show(0.5);
      else this.#play();
    } catch (error) {
      if (!api.isAborted(error)) this.dispatchEvent(new CustomEvent("failed", { detail: { error } }));
    } finally {
      tell(false);
    }
  }

  #show(at) {
    this.#at = clamp(at, 0, 1);
    const slider = byId("morph-at");
    slider.valueAsNumber = this.#at;
    slider.style.setProperty("--high", `${this.#at * 100}%`);
    slider.setAttribute("aria-valuetext", t("morphAt", { percent: Math.round(this.#at * 100) }));
    const frame = this.#frames[Math.round(this.#at * (this.#frames.length - 1))];
    if (frame) this.#view.show(this, { after: [{ bitmap: frame }] });
  }

  #play() {
    if (this.#frames.length < 2) return;
    this.#setPlaying(true);
    const forth = this.#at < 1 ? this.#at : 0;
    const began = performance.now() - forth * seconds * 1000;
    const step = (now) => {
      if (!this.#playing) return;
      // There, a moment's rest, and back.
      const phase = ((now - began) / 1000 / seconds) % 2.6;
      this.#show(phase <= 1 ? phase : phase <= 1.3 ? 1 : phase <= 2.3 ? 2.3 - phase : 0);
      requestAnimationFrame(step);
    };
    requestAnimationFrame(step);
  }

  #stop() { this.#setPlaying(false); }

  #setPlaying(value) {
    this.#playing = value;
    setIcon(byId("morph-play"), value ? "pause" : "play");
    setLabel(byId("morph-play"), t(value ? "pause" : "play"));
  }

  #clear() {
    this.#stop();
    this.#view.show(this, { after: [] });
    for (const frame of this.#frames) frame.close();
    this.#frames = [];
    this.#at = 0;
    this.#enable(false);
  }

  #enable(enabled) {
    for (const id of ["morph-at", "morph-play", "morph-swap"]) byId(id).disabled = !enabled;
  }

  #drawEnds() {
    ["morph-from", "morph-to"].forEach((id, index) => {
      const end = this.#ends[index];
      byId(`${id}-name`).textContent = end?.name ?? t("morphNone");
      byId(id).getContext("2d").clearRect(0, 0, 160, 160);
      if (end) drawEnd(byId(id), end).catch(() => {});
    });
  }
}

/** The face of an end with its edits. */
async function tile({ photo, face, edits, strokes }, side, signal) {
  const { edits: own, protect } = await changes(photo, edits, strokes);
  return api.tiles(photo.id, { face, tiles: [own], size: side, ...(protect && { protect }) }, signal);
}

async function drawEnd(canvas, end) {
  const bitmap = await createImageBitmap(await tile(end, 160));
  canvas.getContext("2d").drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  bitmap.close();
}
