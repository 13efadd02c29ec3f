// The photo on its canvas: before and after, the divider between them, zoom and pan.

import { clamp } from "./dom.js";

const margin = 24;
const mostZoom = 12;

/** Events: "view" (zoom or place changed), "divider". */
export class PhotoView extends EventTarget {
  #canvas;
  #viewport;
  #context;
  #before = [];
  #after = [];
  #photo = null; // { width, height } in the photo's own pixels
  #zoom = 1; // 1 fits the photo into the viewport
  #centre = { x: 0.5, y: 0.5 }; // the point of the photo in the viewport's middle, in parts of it
  #size = { width: 1, height: 1 };
  #divider = 0.5;
  #comparing = false;
  #holding = false;
  #scheduled = false;
  interest = null; // a point of the photo in its pixels, such as a face

  constructor(viewport, canvas) {
    super();
    [this.#viewport, this.#canvas] = [viewport, canvas];
    this.#context = canvas.getContext("2d");
    new ResizeObserver(() => this.#resize()).observe(viewport);
    this.#listen();
  }

  // --- What is shown

  /**
   * Begins with a photo of a size in pixels; nothing is shown of it yet. What is shown later are layers,
   * `{ bitmap, region }`: a picture of the whole photo, and over it one of a part of it (`region` in the photo's pixels).
   * Their bitmaps belong to the caller.
   */
  open(photo) {
    this.#photo = photo;
    [this.#before, this.#after] = [[], []];
    this.#divider = 0.5;
    this.interest = null;
    this.#resize();
    this.fit();
  }

  /** The layers of the unedited photo. */
  set before(layers) {
    this.#before = layers;
    this.draw();
  }

  /** The layers of the edited photo. They are drawn at once. */
  set after(layers) {
    this.#after = layers;
    this.draw();
  }

  set comparing(value) {
    this.#comparing = value;
    this.#viewport.classList.toggle("comparing", value);
    this.#changed();
  }
  get comparing() { return this.#comparing; }

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

  /** Puts the divider at a column of the photo. */
  divideAt(x) {
    const { left, right } = this.visibleRange;
    this.divider = (this.frame.x + x * this.scale - left) / (right - left);
  }

  // --- Places

  get zoom() { return this.#zoom; }

  /** Pixels of the screen for one of the photo. */
  get scale() {
    if (!this.#photo) return 1;
    const { width, height } = this.#size;
    const space = Math.min(margin, width / 20);
    return this.#zoom * Math.min(
      (width - 2 * space) / this.#photo.width, (height - 2 * space) / this.#photo.height);
  }

  /** The photo's place in the viewport in CSS pixels. */
  get frame() {
    const scale = this.scale;
    const [width, height] = [(this.#photo?.width ?? 1) * scale, (this.#photo?.height ?? 1) * scale];
    return {
      x: this.#size.width / 2 - this.#centre.x * width,
      y: this.#size.height / 2 - this.#centre.y * height,
      width, height,
    };
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
    const { x, y, width, height } = this.frame;
    const scale = this.scale;
    const [left, top] = [Math.max(0, Math.floor(-x / scale)), Math.max(0, Math.floor(-y / scale))];
    const right = Math.min(this.#photo.width, Math.ceil((this.#size.width - x) / scale));
    const bottom = Math.min(this.#photo.height, Math.ceil((this.#size.height - y) / scale));
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

  /** Zooms by a factor; the point of the photo under `at` (CSS pixels of the viewport) stays where it is. */
  zoomBy(factor, at = this.#middle) {
    const frame = this.frame;
    const point = { x: (at.x - frame.x) / frame.width, y: (at.y - frame.y) / frame.height };
    this.#zoom = clamp(this.#zoom * factor, 1, mostZoom);
    const { width, height } = this.frame;
    this.#centre = {
      x: point.x - (at.x - this.#size.width / 2) / width,
      y: point.y - (at.y - this.#size.height / 2) / height,
    };
    this.#changed();
  }

  /** Where keys and buttons zoom: at the point of interest where that is in sight, else in the viewport's middle. */
  get #middle() {
    const { width, height } = this.#size;
    if (this.interest) {
      const { x, y } = this.frame;
      const at = { x: x + this.interest.x * this.scale, y: y + this.interest.y * this.scale };
      if (at.x > 0 && at.x < width && at.y > 0 && at.y < height) return at;
    }
    return { x: width / 2, y: height / 2 };
  }

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

  /** Keeps the photo over the viewport's middle, and centred where it is smaller than the viewport. */
  #keepInside() {
    const { width, height } = this.frame;
    for (const [axis, length, room] of [["x", width, this.#size.width], ["y", height, this.#size.height]]) {
      const reach = Math.max(0, 0.5 - (room / 2 - margin) / length);
      this.#centre[axis] = clamp(this.#centre[axis], 0.5 - reach, 0.5 + reach);
    }
  }

  // --- Drawing

  #changed() {
    if (this.#photo) this.#keepInside();
    this.dispatchEvent(new Event("view"));
    if (this.#scheduled) return;
    this.#scheduled = true;
    requestAnimationFrame(() => {
      this.#scheduled = false;
      this.draw();
    });
  }

  draw() {
    const context = this.#context;
    const ratio = devicePixelRatio;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, this.#canvas.width, this.#canvas.height);
    if (!this.#photo) return;
    const { x, y, width, height } = this.frame;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.imageSmoothingQuality = "high";
    const scale = this.scale;
    const paint = (layers) => {
      for (const { bitmap, region } of layers) {
        if (!region) context.drawImage(bitmap, x, y, width, height);
        else context.drawImage(bitmap, x + region.x * scale, y + region.y * scale, region.width * scale, region.height * scale);
      }
    };
    paint(this.#holding ? this.#before : this.#after);
    if (this.#comparing && !this.#holding) {
      context.save();
      context.beginPath();
      context.rect(0, 0, this.dividerX, this.#size.height);
      context.clip();
      paint(this.#before);
      context.restore();
    }
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
    const pointers = new Map();
    const place = (event) => {
      const box = this.#viewport.getBoundingClientRect();
      return { x: event.clientX - box.left, y: event.clientY - box.top };
    };
    const spread = () => {
      const [a, b] = [...pointers.values()];
      return { distance: Math.hypot(a.x - b.x, a.y - b.y), x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 };
    };
    this.#viewport.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || event.target.closest(".divider, .face")) return;
      this.#viewport.setPointerCapture(event.pointerId);
      pointers.set(event.pointerId, place(event));
      this.#viewport.classList.add("panning");
    });
    this.#viewport.addEventListener("pointermove", (event) => {
      const last = pointers.get(event.pointerId);
      if (!last) return;
      const pinch = pointers.size === 2 ? spread() : null;
      pointers.set(event.pointerId, place(event));
      if (pinch) {
        const now = spread();
        this.zoomBy(now.distance / Math.max(1, pinch.distance), now);
        this.panBy(now.x - pinch.x, now.y - pinch.y);
      } else if (pointers.size === 1) {
        const now = pointers.get(event.pointerId);
        this.panBy(now.x - last.x, now.y - last.y);
      }
    });
    for (const type of ["pointerup", "pointercancel"]) {
      this.#viewport.addEventListener(type, (event) => {
        pointers.delete(event.pointerId);
        this.#viewport.classList.toggle("panning", pointers.size > 0);
      });
    }
    this.#viewport.addEventListener("wheel", (event) => {
      event.preventDefault();
      const step = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 16 : 1;
      this.zoomBy(Math.exp(-event.deltaY * step * (event.ctrlKey ? 0.01 : 0.0015)), place(event));
    }, { passive: false });
    this.#viewport.addEventListener("dblclick", (event) => {
      if (event.target.closest(".divider")) return;
      if (this.#zoom > 1.01) this.fit();
      else this.zoomBy(3, place(event));
    });
    this.#viewport.addEventListener("keydown", (event) => {
      if (event.target !== this.#viewport || event.ctrlKey || event.metaKey || event.altKey) return;
      const zooms = { "+": 1.4, "=": 1.4, "-": 1 / 1.4, 0: 0 };
      if (event.key in zooms) {
        event.stopPropagation();
        if (zooms[event.key]) this.zoomBy(zooms[event.key]);
        else this.fit();
      }
      const moves = { ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60] };
      if (!moves[event.key]) return;
      event.preventDefault();
      this.panBy(...moves[event.key]);
    });
  }
}
