// The photo on its canvas: before and after, the divider between them, zoom and pan.

import { clamp } from "./dom.js";

const margin = 24;
const mostZoom = 12;
const stillDistance = 5; // CSS pixels that a finger that holds still may move
const holdTime = 350;

/**
 * One owner at a time draws on it, which takes it by `open`; what others show is not drawn.
 *
 * Events: "view" (zoom or place changed), "hold" (`detail.holding`: a pointer is held on the photo).
 */
export class PhotoView extends EventTarget {
  #canvas;
  #viewport;
  #context;
  #owner = null;
  #before = [];
  #after = [];
  #photo = null; // { width, height, hasAlpha } in the photo's own pixels
  #zoom = 1; // 1 fits the photo into the viewport
  #centre = { x: 0.5, y: 0.5 }; // the point of the photo in the pane's middle, in parts of it
  #size = { width: 1, height: 1 };
  #divider = 0.5;
  #comparing = false;
  #sideBySide = false;
  #holding = false;
  #scheduled = false;
  #checker = null;
  interest = null; // a point of the photo in its pixels, such as a face
  /** Where set, it gets what one pointer draws, in the photo's pixels: `begin(point)`, `move(point)`, `end()`, `cancel()`. */
  painter = null;
  /** Where set, it is drawn over the photo: a picture of the whole of it. */
  overlay = null;

  constructor(viewport, canvas) {
    super();
    [this.#viewport, this.#canvas] = [viewport, canvas];
    this.#context = canvas.getContext("2d");
    new ResizeObserver(() => this.#resize()).observe(viewport);
    this.#listen();
  }

  // --- What is shown

  /**
   * Takes the view for an owner, and begins with a photo of a size in pixels; nothing is shown of it yet. What is shown
   * later are layers, `{ bitmap, region }`: a picture of the whole photo, and over it one of a part of it (`region` in the
   * photo's pixels). Their bitmaps belong to the owner.
   */
  open(owner, photo) {
    this.#owner = owner;
    this.#photo = photo;
    [this.#before, this.#after] = [[], []];
    this.#divider = 0.5;
    this.interest = null;
    this.#resize();
    this.fit();
  }

  isOwnedBy(owner) { return this.#owner === owner; }

  /** Shows layers of the photo before and after the edit, if the owner has the view. They are drawn at once. */
  show(owner, { before = [], after }) {
    if (this.#owner !== owner) return;
    [this.#before, this.#after] = [before, after];
    this.draw();
  }

  set comparing(value) {
    this.#comparing = value;
    this.#viewport.classList.toggle("comparing", value);
    this.#changed();
  }
  get comparing() { return this.#comparing; }

  /** Whether a comparison shows both photos beside each other, and not one with a divider. */
  set sideBySide(value) {
    this.#sideBySide = value;
    this.#viewport.classList.toggle("beside", value);
    this.#changed();
  }
  get sideBySide() { return this.#sideBySide; }

  /** Whether the unedited photo is shown alone for a while. */
  set holding(value) {
    if (value === this.#holding) return;
    this.#holding = value;
    this.#viewport.classList.toggle("holding", value);
    this.draw();
  }
  get holding() { return this.#holding; }

  /** Where the divider is, 0 … 1 of the visible part of the photo's width. */
  set divider(value) {
    this.#divider = clamp(value, 0, 1);
    this.#changed();
  }
  get divider() { return this.#divider; }

  /** Puts the divider at a place of the photo, in its pixels. */
  divideAt(x) {
    const { left, right } = this.visibleRange;
    this.divider = (this.frame.x + x * this.scale - left) / Math.max(1, right - left);
  }

  // --- Where it is

  /** The part of the viewport that one photo has. */
  get #pane() {
    const { width, height } = this.#size;
    if (!this.#comparing || !this.#sideBySide) return { width, height, x: 0, y: 0 };
    return width > height ? { width: width / 2, height, x: width / 2, y: 0 } : { width, height: height / 2, x: 0, y: height / 2 };
  }

  get #fitScale() {
    const { width, height } = this.#pane;
    const space = Math.min(margin, width / 20, height / 20);
    return Math.max(0.001, Math.min((width - 2 * space) / this.#photo.width, (height - 2 * space) / this.#photo.height));
  }

  /** CSS pixels on the screen for one of the photo. */
  get scale() { return this.#photo ? this.#zoom * this.#fitScale : 1; }

  /** The size in percent: at 100 a pixel of the photo is one of the screen. */
  get percent() { return this.scale * devicePixelRatio * 100; }

  get isFitted() { return this.#zoom === 1; }

  /** The photo's place in its pane in CSS pixels. */
  get frame() {
    const scale = this.scale;
    const pane = this.#pane;
    const [width, height] = [(this.#photo?.width ?? 1) * scale, (this.#photo?.height ?? 1) * scale];
    return { x: pane.width / 2 - this.#centre.x * width, y: pane.height / 2 - this.#centre.y * height, width, height };
  }

  /** The part of the photo's width that can be seen, in CSS pixels of the viewport. */
  get visibleRange() {
    const frame = this.frame;
    return { left: Math.max(0, frame.x), right: Math.min(this.#size.width, frame.x + frame.width) };
  }

  get dividerX() {
    const { left, right } = this.visibleRange;
    return left + (right - left) * this.#divider;
  }

  /** The part of the photo that can be seen, in its whole pixels; `null` when that is nearly all of it. */
  get visibleRegion() {
    const { x, y } = this.frame;
    const pane = this.#pane;
    const scale = this.scale;
    const [left, top] = [Math.max(0, Math.floor(-x / scale)), Math.max(0, Math.floor(-y / scale))];
    const right = Math.min(this.#photo.width, Math.ceil((pane.width - x) / scale));
    const bottom = Math.min(this.#photo.height, Math.ceil((pane.height - y) / scale));
    const region = { x: left, y: top, width: Math.max(1, right - left), height: Math.max(1, bottom - top) };
    return region.width * region.height > 0.8 * this.#photo.width * this.#photo.height ? null : region;
  }

  /** The longer side, in pixels of the screen, of a region or of the whole photo. */
  longestSide(region) {
    const { width, height } = region ?? this.#photo;
    return Math.ceil(Math.max(width, height) * this.scale * devicePixelRatio);
  }

  fit() {
    this.#zoom = 1;
    this.#centre = { x: 0.5, y: 0.5 };
    this.#changed();
  }

  /** Shows one pixel of the photo as one of the screen. */
  actualSize() { this.zoomBy(100 / this.percent, this.#middle); }

  /** Shows a box of the photo, in its pixels, as so large a part of the viewport. */
  showBox({ x, y, width, height }, part = 0.5) {
    const pane = this.#pane;
    const wanted = part * Math.min(pane.width / width, pane.height / height);
    this.#zoom = this.#within(wanted / this.#fitScale);
    this.centreOn(x + width / 2, y + height / 2);
  }

  /** How large a part of the viewport's height or width, the smaller, a box takes. */
  partOf({ width, height }) {
    const pane = this.#pane;
    return Math.max(width / pane.width, height / pane.height) * this.scale;
  }

  /** Whether a point of the photo is in sight. */
  sees({ x, y }) {
    const [frame, pane, scale] = [this.frame, this.#pane, this.scale];
    const [left, top] = [frame.x + x * scale, frame.y + y * scale];
    return left > 0 && left < pane.width && top > 0 && top < pane.height;
  }

  /** Zooms by a factor; the point of the photo under `at` (CSS pixels of its pane) stays where it is. */
  zoomBy(factor, at) {
    const frame = this.frame;
    const pane = this.#pane;
    const point = { x: (at.x - frame.x) / frame.width, y: (at.y - frame.y) / frame.height };
    this.#zoom = this.#within(this.#zoom * factor);
    const { width, height } = this.frame;
    this.#centre = { x: point.x - (at.x - pane.width / 2) / width, y: point.y - (at.y - pane.height / 2) / height };
    this.#changed();
  }

  /** Zooms by a factor towards what is of interest: in larger steps it comes to the middle. */
  zoomIn(factor) {
    if (this.interest && factor > 1 && this.sees(this.interest)) this.centreOn(this.interest.x, this.interest.y);
    this.zoomBy(factor, this.#middle);
  }

  #within(zoom) {
    const actual = 1 / (this.#fitScale * devicePixelRatio);
    const value = clamp(zoom, Math.min(1, actual), Math.max(mostZoom, 4 * actual));
    return Math.abs(value - 1) < 0.005 ? 1 : value;
  }

  get #middle() { return { x: this.#pane.width / 2, y: this.#pane.height / 2 }; }

  /** Moves the photo by CSS pixels. */
  panBy(x, y) {
    const { width, height } = this.frame;
    this.#centre = { x: this.#centre.x - x / width, y: this.#centre.y - y / height };
    this.#changed();
  }

  /** Shows a point of the photo, given in its pixels, in the middle. */
  centreOn(x, y) {
    this.#centre = { x: x / this.#photo.width, y: y / this.#photo.height };
    this.#changed();
  }

  /** Keeps the photo over the pane's middle, and centred where it is smaller than the pane. */
  #keepInside() {
    const { width, height } = this.frame;
    const pane = this.#pane;
    for (const [axis, length, room] of [["x", width, pane.width], ["y", height, pane.height]]) {
      const reach = Math.max(0, 0.5 - (room / 2 - margin) / length);
      this.#centre[axis] = clamp(this.#centre[axis], 0.5 - reach, 0.5 + reach);
    }
  }

  // --- Drawing

  #changed() {
    if (this.#photo) this.#keepInside();
    this.dispatchEvent(new Event("view"));
    this.drawSoon();
  }

  draw() {
    const context = this.#context;
    const ratio = devicePixelRatio;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, this.#canvas.width, this.#canvas.height);
    if (!this.#photo) return;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.imageSmoothingQuality = "high";
    const pane = this.#pane;
    if (this.#holding) {
      this.#paint(this.#before, 0, 0, pane.width);
    } else if (!this.#comparing) {
      this.#paint(this.#after, 0, 0, pane.width);
    } else if (this.#sideBySide) {
      this.#paint(this.#before, 0, 0, pane.width);
      this.#paint(this.#after, pane.x, pane.y, pane.width);
    } else {
      this.#paint(this.#after, 0, 0, pane.width);
      this.#paint(this.#before, 0, 0, this.dividerX);
    }
  }

  /** Draws layers into the pane at a place, no further than a width. */
  #paint(layers, left, top, width) {
    const context = this.#context;
    const frame = this.frame;
    const scale = this.scale;
    context.save();
    context.beginPath();
    context.rect(left, top, width, this.#pane.height);
    context.clip();
    context.translate(left + frame.x, top + frame.y);
    if (this.#photo.hasAlpha && layers.length > 0) {
      context.fillStyle = this.#checkerboard;
      context.fillRect(0, 0, frame.width, frame.height);
    }
    for (const { bitmap, region } of layers) {
      if (!region) {
        context.drawImage(bitmap, 0, 0, frame.width, frame.height);
      } else {
        const box = [region.x * scale, region.y * scale, region.width * scale, region.height * scale];
        if (this.#photo.hasAlpha) {
          context.fillStyle = this.#checkerboard;
          context.fillRect(...box);
        }
        context.drawImage(bitmap, ...box);
      }
    }
    if (this.overlay && layers === this.#after) {
      context.globalAlpha = 0.5;
      context.drawImage(this.overlay, 0, 0, frame.width, frame.height);
    }
    context.restore();
  }

  /** Draws again with the next frame. */
  drawSoon() {
    if (this.#scheduled) return;
    this.#scheduled = true;
    requestAnimationFrame(() => {
      this.#scheduled = false;
      this.draw();
    });
  }

  /** What stands for transparency. */
  get #checkerboard() {
    if (!this.#checker) {
      const tile = new OffscreenCanvas(16, 16);
      const context = tile.getContext("2d");
      for (const [colour, ...box] of [["#fff", 0, 0, 16, 16], ["#d4d4d4", 0, 0, 8, 8], ["#d4d4d4", 8, 8, 8, 8]]) {
        context.fillStyle = colour;
        context.fillRect(...box);
      }
      this.#checker = this.#context.createPattern(tile, "repeat");
    }
    return this.#checker;
  }

  #resize() {
    const { clientWidth: width, clientHeight: height } = this.#viewport;
    if (width === 0 || height === 0) return;
    this.#size = { width, height };
    this.#canvas.width = Math.round(width * devicePixelRatio);
    this.#canvas.height = Math.round(height * devicePixelRatio);
    this.draw(); // a canvas of another size is empty
    this.#changed();
  }

  // --- Mouse, touch and pen

  #listen() {
    const viewport = this.#viewport;
    const pointers = new Map();
    let begin = null; // where the first pointer went down, while it has not moved
    let painting = false;
    let timer;
    let held = false;
    const place = (event) => {
      const box = viewport.getBoundingClientRect();
      const [x, y] = [event.clientX - box.left, event.clientY - box.top];
      const pane = this.#pane;
      return { x: pane.x > 0 && x > pane.x ? x - pane.x : x, y: pane.y > 0 && y > pane.y ? y - pane.y : y };
    };
    /** A place of the pane in the photo's pixels. */
    const inPhoto = ({ x, y }) => ({ x: (x - this.frame.x) / this.scale, y: (y - this.frame.y) / this.scale });
    const spread = () => {
      const [a, b] = [...pointers.values()];
      return { distance: Math.hypot(a.x - b.x, a.y - b.y), x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 };
    };
    const hold = (holding) => {
      clearTimeout(timer);
      if (held === holding) return;
      held = holding;
      this.dispatchEvent(new CustomEvent("hold", { detail: { holding } }));
    };
    viewport.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || event.target.closest(".divider")) return;
      pointers.set(event.pointerId, place(event));
      if (this.painter && pointers.size === 1) {
        painting = true;
        viewport.setPointerCapture(event.pointerId);
        this.painter.begin(inPhoto(place(event)));
        return;
      }
      // A second finger moves the photo.
      if (painting) this.painter?.cancel();
      painting = false;
      begin = pointers.size === 1 ? { x: event.clientX, y: event.clientY, wasHeld: false } : null;
      hold(false);
      if (begin) timer = setTimeout(() => { begin.wasHeld = true; hold(true); }, holdTime);
      else viewport.setPointerCapture(event.pointerId);
    });
    viewport.addEventListener("pointermove", (event) => {
      const last = pointers.get(event.pointerId);
      if (!last) return;
      if (painting) {
        pointers.set(event.pointerId, place(event));
        for (const part of event.getCoalescedEvents?.() ?? [event]) this.painter?.move(inPhoto(place(part)));
        return;
      }
      if (begin) {
        if (Math.hypot(event.clientX - begin.x, event.clientY - begin.y) < stillDistance) return;
        // From here on it is a drag, of a face, too: what is under the pointer gets no click.
        begin = null;
        hold(false);
        viewport.setPointerCapture(event.pointerId);
        viewport.classList.add("panning");
      }
      const pinch = pointers.size === 2 ? spread() : null;
      const now = place(event);
      pointers.set(event.pointerId, now);
      if (pinch) {
        const next = spread();
        this.zoomBy(next.distance / Math.max(1, pinch.distance), next);
        this.panBy(next.x - pinch.x, next.y - pinch.y);
      } else if (pointers.size === 1) {
        this.panBy(now.x - last.x, now.y - last.y);
      }
    });
    let swallow = false;
    for (const type of ["pointerup", "pointercancel"]) {
      // On the window, for a pointer that was not caught may be let go elsewhere.
      addEventListener(type, (event) => {
        if (!pointers.delete(event.pointerId)) return;
        if (painting) this.painter?.[type === "pointerup" ? "end" : "cancel"]();
        painting = false;
        swallow = Boolean(begin?.wasHeld);
        begin = null;
        hold(false);
        viewport.classList.toggle("panning", pointers.size > 0);
      });
    }
    viewport.addEventListener("click", (event) => {
      if (swallow) event.stopPropagation(); // the end of a hold chooses nothing
      swallow = false;
    }, { capture: true });
    viewport.addEventListener("contextmenu", (event) => { if (held) event.preventDefault(); });
    viewport.addEventListener("wheel", (event) => {
      event.preventDefault();
      const step = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 16 : 1;
      this.zoomBy(Math.exp(-event.deltaY * step * (event.ctrlKey ? 0.01 : 0.0015)), place(event));
    }, { passive: false });
    viewport.addEventListener("dblclick", (event) => {
      if (event.target.closest(".divider") || this.painter) return;
      if (this.#zoom > 1.01) this.fit();
      else this.zoomBy(3, place(event));
    });
    viewport.addEventListener("keydown", (event) => {
      const moves = { ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60] };
      if (event.target !== viewport || this.painter || event.ctrlKey || event.metaKey || event.altKey || !moves[event.key]) return;
      event.preventDefault();
      this.panBy(...moves[event.key]);
    });
  }
}
