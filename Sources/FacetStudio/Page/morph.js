// One face becoming another, on the stage: two ends, a place between them, playing.

import * as api from "./api.js";
import { byId, clamp, setIcon } from "./dom.js";

const size = 512;
const frameCount = 24;
const seconds = 1.6; // from one face to the other

/** Events: "failed" (`detail.error`), "busy" (`detail.busy`). */
export class Morph extends EventTarget {
  #view;
  #ends = [null, null]; // { photo, face, name, second }: the second one was chosen here
  #frames = [];
  #at = 0;
  #playing = false;
  #abort = null;

  constructor(view) {
    super();
    this.#view = view;
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

  /** Begins with one end; the other one stays from before, where there was one. */
  begin(photo, face, name) {
    const other = this.#ends.find((end) => end && end.second) ?? null;
    this.#ends = [{ photo, face, name }, other];
    this.#clear();
    this.#view.open({ width: size, height: size });
    this.#drawEnds();
    this.#load();
  }

  /** Takes the face to end with. */
  setSecond(photo, name) {
    const old = this.#ends.find((end) => end?.second);
    if (old) api.removePhoto(old.photo.id).catch(() => {});
    this.#ends = [this.#ends.find((end) => end && !end.second), { photo, face: 0, name, second: true }];
    this.#drawEnds();
    this.#load();
  }

  /** The same photos under other ids, after the server has forgotten them. */
  async reopen() {
    for (const end of this.#ends) if (end) end.photo = await end.photo.again();
    this.#load();
  }

  end() {
    this.#abort?.abort();
    this.#clear();
  }

  /** The animation there and back, as a file. */
  async download() {
    const [from, to] = this.#ends.map((end) => ({ photo: end.photo.id, face: end.face }));
    return { blob: await api.morph({ from, to, frames: frameCount, size, thereAndBack: true }), name: "morph.webp" };
  }

  async #load() {
    const [from, to] = this.#ends;
    this.#clear();
    if (!from || !to) return;
    this.#abort?.abort();
    this.#abort = new AbortController();
    const { signal } = this.#abort;
    this.dispatchEvent(new CustomEvent("busy", { detail: { busy: true } }));
    try {
      const animation = await api.morph({
        from: { photo: from.photo.id, face: from.face }, to: { photo: to.photo.id, face: to.face },
        frames: frameCount, size, thereAndBack: false,
      }, signal);
      const frames = await decode(animation);
      if (signal.aborted) {
        for (const frame of frames) frame.close();
        return;
      }
      this.#frames = frames;
      this.#enable(true);
      if (matchMedia("(prefers-reduced-motion: reduce)").matches) this.#show(0.5);
      else this.#play();
    } catch (error) {
      if (!api.isAborted(error)) this.dispatchEvent(new CustomEvent("failed", { detail: { error } }));
    } finally {
      this.dispatchEvent(new CustomEvent("busy", { detail: { busy: false } }));
    }
  }

  #show(at) {
    this.#at = clamp(at, 0, 1);
    const slider = byId("morph-at");
    slider.valueAsNumber = this.#at;
    slider.style.setProperty("--high", `${this.#at * 100}%`);
    slider.setAttribute("aria-valuetext", `${Math.round(this.#at * 100)} % of the second face`);
    const frame = this.#frames[Math.round(this.#at * (this.#frames.length - 1))];
    if (frame) this.#view.after = [{ bitmap: frame }];
  }

  #play() {
    if (this.#frames.length === 0) return;
    this.#playing = true;
    setIcon(byId("morph-play"), "pause");
    byId("morph-play").lastChild.textContent = "Pause";
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

  #stop() {
    this.#playing = false;
    setIcon(byId("morph-play"), "play");
    byId("morph-play").lastChild.textContent = "Play";
  }

  #clear() {
    this.#stop();
    this.#view.after = [];
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
      byId(`${id}-name`).textContent = end?.name ?? "Choose another";
      const context = byId(id).getContext("2d");
      context.clearRect(0, 0, 160, 160);
      if (end) drawFace(context, end).catch(() => {});
    });
  }
}

/** Draws the upright box around a face. */
async function drawFace(context, { photo, face }) {
  const bitmap = await createImageBitmap(await api.picture(photo.id, 768));
  const scale = bitmap.width / photo.width;
  const { x, y, width, height } = photo.faces[face].box;
  context.drawImage(bitmap, x * scale, y * scale, width * scale, height * scale, 0, 0, 160, 160);
  bitmap.close();
}

/** The frames of an animation as bitmaps. */
async function decode(animation) {
  if (!("ImageDecoder" in globalThis)) throw new Error("This browser cannot take an animation apart; download it instead.");
  const decoder = new ImageDecoder({ data: await animation.arrayBuffer(), type: animation.type });
  await decoder.tracks.ready;
  const frames = [];
  for (let index = 0; index < decoder.tracks.selectedTrack.frameCount; index += 1) {
    const { image } = await decoder.decode({ frameIndex: index });
    frames.push(await createImageBitmap(image));
    image.close();
  }
  decoder.close();
  return frames;
}
