// The brush that keeps a region of the photo as it was: its strokes over the photo, and the mask that the server gets.

import { byId, clamp, make } from "./dom.js";
import { t } from "./texts.js";

const longest = 1024; // pixels of a mask's longer side
// From the soft edge to the middle: the width in parts of the stroke's, and how much each lays on.
const passes = [[1, 0.4], [0.85, 0.5], [0.7, 0.6], [0.55, 1]];

/** A canvas for a mask of a photo, with strokes on it in white. */
function layer(photo, strokes) {
  const scale = Math.min(1, longest / Math.max(photo.width, photo.height));
  const canvas = make("canvas", { width: Math.max(1, Math.round(photo.width * scale)), height: Math.max(1, Math.round(photo.height * scale)) });
  for (const stroke of strokes) draw(canvas, photo, stroke);
  return canvas;
}

function draw(canvas, photo, { points, width, erases }) {
  const context = canvas.getContext("2d");
  context.save();
  context.scale(canvas.width / photo.width, canvas.height / photo.height);
  context.globalCompositeOperation = erases ? "destination-out" : "source-over";
  [context.strokeStyle, context.lineCap, context.lineJoin] = ["#fff", "round", "round"];
  const path = new Path2D();
  path.moveTo(points[0] - 0.01, points[1]); // a line of no length is not drawn
  for (let at = 0; at < points.length; at += 2) path.lineTo(points[at], points[at + 1]);
  for (const [part, alpha] of passes) {
    [context.lineWidth, context.globalAlpha] = [width * part, alpha];
    context.stroke(path);
  }
  context.restore();
}

const masks = new WeakMap();

/** The mask of strokes as a PNG file in base64: white is kept. */
export function maskOf(photo, strokes) {
  if (!masks.has(strokes)) masks.set(strokes, layer(photo, strokes).toDataURL("image/png").split(",")[1]);
  return masks.get(strokes);
}

/** The bar of the brush, and what it draws on a `PhotoView`. */
export class Brush {
  #editing;
  #view;
  #announce;
  #stroke = null; // the one that is being drawn
  #layer = null; // of the strokes before it
  #erases = false;
  #cursor = null; // where the keys have brought it, in the photo's pixels
  on = false;

  constructor(editing, view, announce) {
    [this.#editing, this.#view, this.#announce] = [editing, view, announce];
    editing.addEventListener("edits", ({ detail }) => { if (this.on && !detail.live) this.#show(); });
    byId("brush-paint").addEventListener("click", () => this.#choose(false));
    byId("brush-erase").addEventListener("click", () => this.#choose(true));
    byId("brush-clear").addEventListener("click", () => {
      editing.setStrokes([]);
      announce(t("brushCleared"));
      byId("viewport").focus({ preventScroll: true });
    });
    byId("brush-size").addEventListener("input", () => this.#showSize());
    const viewport = byId("viewport");
    viewport.addEventListener("pointermove", (event) => {
      if (!this.on || (this.#cursor && this.#stroke)) return; // keys draw
      this.#cursor = null;
      const box = viewport.getBoundingClientRect();
      this.#showRing(event.clientX - box.left, event.clientY - box.top);
      byId("brush-ring").hidden = event.pointerType === "touch";
    });
    viewport.addEventListener("pointerleave", () => { byId("brush-ring").hidden = true; });
    view.addEventListener("view", () => this.#showCursor());
    viewport.addEventListener("keydown", (event) => {
      if (!this.on || event.target !== viewport || event.ctrlKey || event.metaKey || event.altKey || !this.#takeKey(event)) return;
      event.preventDefault();
      event.stopPropagation(); // these keys have other tasks elsewhere
    });
    viewport.addEventListener("keyup", (event) => { if (event.key === " ") this.#lift(); });
    viewport.addEventListener("blur", () => this.#lift());
    this.#choose(false);
    this.#showSize();
  }

  /** Takes the pointer, or gives it back. */
  use(on) {
    if (on === this.on) return;
    this.on = on;
    document.body.classList.toggle("protecting", on);
    byId("brush-ring").hidden = true;
    this.#view.painter = on ? this : null;
    [this.#stroke, this.#cursor] = [null, null];
    this.#show();
    const viewport = byId("viewport");
    // So that screen readers leave the arrow keys to the page.
    viewport.setAttribute("role", on ? "application" : "group");
    viewport.setAttribute("aria-describedby", on ? "brush-help" : "viewport-help");
    if (!on) return;
    viewport.focus({ preventScroll: true });
    this.#announce(`${t("protectLead")} ${t("brushKeys")}`);
  }

  #choose(erases) {
    this.#erases = erases;
    byId("brush-paint").setAttribute("aria-pressed", String(!erases));
    byId("brush-erase").setAttribute("aria-pressed", String(erases));
  }

  #showSize() {
    const size = byId("brush-size");
    size.style.setProperty("--high", `${(size.value - size.min) / (size.max - size.min) * 100}%`);
    byId("brush-ring").style.width = byId("brush-ring").style.height = `${size.value}px`;
  }

  // --- Keys

  /** Does what a key asks for; false where that is nothing. */
  #takeKey({ key, repeat }) {
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[key];
    const factor = { "+": 1.25, "=": 1.25, "-": 0.8 }[key];
    if (way) {
      this.#go(...way);
    } else if (factor) {
      const size = byId("brush-size");
      size.value = Math.round(size.value * factor);
      this.#showSize();
      this.#announce(`${t("brushSize")}: ${size.value}`);
    } else if (key === " ") {
      if (repeat) return true;
      this.#go(0, 0);
      this.begin(this.#cursor);
    } else {
      return false;
    }
    return true;
  }

  /** Moves the cursor by a quarter of the brush, within the photo; it begins on the face. */
  #go(across, down) {
    const [view, { photo }] = [this.#view, this.#editing];
    const { x, y } = this.#cursor ?? view.interest;
    const step = byId("brush-size").value / 4 / view.scale;
    this.#cursor = { x: clamp(x + across * step, 0, photo.width), y: clamp(y + down * step, 0, photo.height) };
    this.move(this.#cursor);
    if (!view.sees(this.#cursor)) view.centreOn(this.#cursor.x, this.#cursor.y);
    this.#showCursor();
    const part = (value, whole) => Math.round(100 * value / whole);
    this.#announce(t("brushAt", { across: part(this.#cursor.x, photo.width), down: part(this.#cursor.y, photo.height) }));
  }

  /** Ends what the keys draw. */
  #lift() {
    if (!this.#stroke || !this.#cursor) return;
    this.end();
    this.#announce(t(this.#erases ? "brushErased" : "brushKept"));
  }

  #showCursor() {
    if (!this.#cursor) return;
    const [{ x, y }, scale] = [this.#view.frame, this.#view.scale];
    this.#showRing(x + this.#cursor.x * scale, y + this.#cursor.y * scale);
    byId("brush-ring").hidden = false;
  }

  #showRing(x, y) { byId("brush-ring").style.translate = `${x}px ${y}px`; }

  // --- What the view tells

  begin({ x, y }) {
    // As wide on the screen at every zoom.
    const width = Math.max(1, Math.round(byId("brush-size").value / this.#view.scale));
    this.#stroke = { points: [Math.round(x), Math.round(y)], width, erases: this.#erases };
    this.#paint();
  }

  move({ x, y }) {
    if (!this.#stroke) return;
    const { points, width } = this.#stroke;
    if (Math.hypot(x - points.at(-2), y - points.at(-1)) < Math.max(1, width / 8)) return;
    points.push(Math.round(x), Math.round(y));
    this.#paint();
  }

  end() {
    const stroke = this.#stroke;
    this.#stroke = null;
    if (stroke) this.#editing.setStrokes([...this.#editing.strokes, stroke]);
  }

  cancel() {
    this.#stroke = null;
    this.#paint();
  }

  // --- Drawing

  #show() {
    const { photo, strokes } = this.#editing;
    this.#layer = this.on && photo ? layer(photo, strokes) : null;
    byId("brush-clear").disabled = strokes.length === 0;
    this.#paint();
  }

  /** Shows the region in colour. */
  #paint() {
    const { photo } = this.#editing;
    this.#view.overlay = null;
    if (this.#layer && (this.#stroke || this.#editing.strokes.length > 0)) {
      const picture = layer(photo, []);
      const context = picture.getContext("2d");
      context.drawImage(this.#layer, 0, 0);
      if (this.#stroke) draw(picture, photo, this.#stroke);
      context.globalCompositeOperation = "source-in";
      context.fillStyle = "#3f6ff0";
      context.fillRect(0, 0, picture.width, picture.height);
      this.#view.overlay = picture;
    }
    this.#view.drawSoon();
  }
}
