// What the page says: to screen readers, in a note at its foot, and in a banner on top.

import { byId, make } from "./dom.js";

/** Says a text to screen readers once they are silent. */
export function announce(text) {
  const status = byId("status");
  status.textContent = status.textContent === text ? `${text}\u00a0` : text; // the same text again is said, too
}

let timer;

/** Shows a note for a while; `calm` for what is no problem. */
export function note(text, { calm = false } = {}) {
  const toast = byId("toast");
  toast.textContent = text;
  toast.classList.toggle("calm", calm);
  toast.hidden = false;
  clearTimeout(timer);
  timer = setTimeout(() => { toast.hidden = true; }, 7000);
}

/** Shows a banner with a button until it is taken away with `null`. */
export function banner(text, action = null) {
  const element = byId("banner");
  element.hidden = text === null;
  element.replaceChildren(...(text === null ? [] : [
    make("span", {}, text),
    action && make("button", { class: "link", type: "button", onclick: action.run }, action.label),
  ].filter(Boolean)));
}

/** A fault in words for the person at the screen. `name` is the photo's. */
export function inWords(error, name) {
  const photo = name ? `“${name}”` : "This photo";
  const texts = {
    "not-a-photo": `${photo} is not a photo that can be read here. JPEG, PNG, WebP, TIFF, HEIC and AVIF can.`,
    "damaged-photo": `${photo} is damaged and cannot be read.`,
    "no-face": `No face was found in ${name ? photo : "this photo"}. `
      + "Try one in which a face looks towards the camera and is not too small.",
    busy: "The studio is busy. Try again in a moment.",
  };
  return texts[error.type] ?? error.message;
}
