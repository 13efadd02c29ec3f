// Small helpers for the document.

import { t } from "./texts.js";

/** The element with an id. */
export const byId = (id) => document.getElementById(id);

/** Makes an element: `make("button", { class: "tool", "aria-label": "Undo", onclick: undo }, "Undo")`. */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** An icon of the sprite in index.html. */
export function icon(name, ...classes) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.classList.add("icon", ...classes);
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `#i-${name}`);
  svg.append(use);
  return svg;
}

/** Changes the icon that a button shows. */
export function setIcon(button, name) { button.querySelector("use").setAttribute("href", `#i-${name}`); }

/** Gives a button without text its name, and its tooltip. */
export function setLabel(element, text) {
  element.setAttribute("aria-label", text);
  if (element.tagName === "BUTTON") element.title = text;
}

/** Writes the page's words and icons where its markup names them. */
export function dress(root = document) {
  const each = (name, act) => root.querySelectorAll(`[data-${name}]`).forEach((e) => act(e, e.dataset[name]));
  each("icon", (element, name) => element.prepend(icon(name)));
  each("t", (element, key) => {
    if (element.dataset.icon) element.append(make("span", {}, t(key)));
    else element.textContent = t(key);
  });
  each("label", (element, key) => setLabel(element, t(key)));
  each("title", (element, key) => { element.title = t(key); });
  each("placeholder", (element, key) => { element.placeholder = t(key); });
  root.querySelectorAll("[data-close]").forEach((button) => {
    button.addEventListener("click", () => button.closest("dialog").close());
  });
}

export const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

/** Calls `work` once `milliseconds` have passed since the last call. */
export function debounced(milliseconds, work) {
  let timer;
  return (...values) => {
    clearTimeout(timer);
    timer = setTimeout(work, milliseconds, ...values);
  };
}

/** A strength in percent: +120, −50, 0. */
export function signed(value) {
  const rounded = Math.round(value * 100);
  if (rounded === 0) return "0";
  return (rounded > 0 ? "+" : "−") + String(Math.abs(rounded));
}

/** A probability as text: 97 %, <1 %. */
export function percent(probability) {
  const value = probability * 100;
  if (value > 0 && value < 1) return "<1 %";
  if (value < 100 && value > 99) return ">99 %";
  return `${Math.round(value)} %`;
}

/** The upright box of a face drawn into a square canvas, from a picture of the whole photo. */
export function drawFace(canvas, bitmap, photo, face) {
  const scale = bitmap.width / photo.width;
  const { x, y, width, height } = photo.faces[face].box;
  const side = Math.min(width, height);
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.clearRect(0, 0, canvas.width, canvas.height);
  context.drawImage(
    bitmap, (x + (width - side) / 2) * scale, (y + (height - side) / 2) * scale, side * scale, side * scale,
    0, 0, canvas.width, canvas.height);
}

/** Lets a file be saved. */
export function save(blob, name) {
  const link = make("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
