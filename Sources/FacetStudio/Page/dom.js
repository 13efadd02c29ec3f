// Small helpers for the document.

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
export function setIcon(button, name) {
  button.querySelector("use").setAttribute("href", `#i-${name}`);
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

/** A strength as text: +1.2, −0.5, 0. */
export function signed(value) {
  const rounded = Math.round(value * 100) / 100;
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
