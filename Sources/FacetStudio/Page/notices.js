// What the page says: to screen readers, in a note at its foot, in a banner on top, and in questions.

import { byId, icon, make } from "./dom.js";
import { has, t } from "./texts.js";

/** Says a text to screen readers once they are silent. */
export function announce(text) {
  const status = byId("status");
  status.textContent = status.textContent === text ? `${text}\u00a0` : text; // the same text again is said, too
}

let timer;

/** Shows a note for a while; `calm` for what is no problem. A click takes it away. */
export function note(text, { calm = false } = {}) {
  const toast = byId("toast");
  const hide = () => { toast.hidden = true; };
  toast.replaceChildren(make("span", {}, text), make("button", {
    class: "toast-close", type: "button", "aria-label": t("close"), onclick: hide,
  }, icon("close", "small")));
  toast.classList.toggle("calm", calm);
  toast.hidden = false;
  clearTimeout(timer);
  timer = setTimeout(hide, calm ? 3500 : 7000);
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

/** Asks; gives what was answered: true, a text where `field` is given (its first text), or null. */
export function ask(text, yes, { field = null } = {}) {
  const dialog = byId("question");
  byId("question-text").textContent = text;
  byId("question-yes").textContent = yes;
  byId("question-field").hidden = field === null;
  byId("question-answer").value = field ?? "";
  byId("question-answer").required = field !== null;
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      if (dialog.returnValue !== "yes") resolve(null);
      else resolve(field === null ? true : byId("question-answer").value.trim());
    }, { once: true });
  });
}

/** A fault in words for the person at the screen. `name` is the photo's. */
export function inWords(error, name) {
  const key = `fault-${error.type}`;
  return has(key) ? t(key, { photo: name ? `“${name}”` : t("thisPhoto") }) : error.message;
}
