// One attribute's slider, from one end to the other, with its value and its undo.

import { byId, clamp, icon, make, percent, signed } from "./dom.js";
import { t } from "./texts.js";

/** Fills a slider's track from zero to its value. */
function fill(slider) {
  const part = (value) => 100 * (value - slider.min) / (slider.max - slider.min);
  const [low, high] = [Math.min(0, slider.valueAsNumber), Math.max(0, slider.valueAsNumber)];
  slider.style.setProperty("--low", `${part(low)}%`);
  slider.style.setProperty("--high", `${part(high)}%`);
}

const horizontal = 8; // CSS pixels of a horizontal move after which a finger moves a slider

export class Row {
  /**
   * @param attribute as the server's list has it, with `styles` that it can be drawn in; @param strength its limits: `usual`, `maximum`, `step`;
   * @param changed called when the row's reach has changed.
   */
  constructor({ name, label, less, more, words, isVerdict, isOneSided, styles = [] }, group, strength, editing, announce, changed) {
    Object.assign(this, { name, label, less, more, isVerdict, isOneSided, editing, announce, changed, limits: strength });
    this.text = [label, less, more, group, name.replaceAll("_", " "), ...words, ...styles.map((style) => style.label)].join(" ").toLowerCase();
    this.reach = strength.usual;
    const id = `row-${name}`;
    const end = (text, value) => make("button", {
      class: "row-end", type: "button", "aria-pressed": "false",
      onclick: () => {
        editing.set({ [name]: editing.strength(name) === value ? 0 : value });
        editing.select({ attribute: name });
      },
    }, text);
    this.ends = [end(less, isOneSided ? 0 : -strength.usual), end(more, strength.usual)];
    this.styles = new Styles(styles, label, (style) => {
      const isOn = editing.strength(name) > 0 && editing.style(name) === style;
      editing.set({ [name]: { strength: isOn ? 0 : editing.strength(name) > 0 ? editing.strength(name) : strength.usual, style } });
      editing.select({ attribute: name });
    });
    this.undo = make("button", {
      class: "row-tool", type: "button", "aria-label": t("undoOne", { name: label }), title: t("undoOne", { name: label }),
      onclick: () => {
        editing.stepBack(name);
        announce(`${label} ${signed(editing.strength(name))}`);
        if (this.undo.disabled) this.slider.focus(); // a hidden button would lose the focus
      },
    }, icon("undo", "small"));
    this.value = make("input", {
      class: "row-value", inputmode: "numeric", autocomplete: "off", size: 5, "aria-label": t("valueOf", { name: label }),
      onfocus: () => { this.value.select(); },
      onkeydown: (event) => {
        if (event.key === "Enter") this.slider.focus();
        if (event.key === "Escape") { this.showStrength(); this.slider.focus(); }
        event.stopPropagation();
      },
      onchange: () => this.#take(this.value.value),
    });
    this.reset = make("button", {
      class: "row-tool", type: "button", "aria-label": t("resetOne", { name: label }), title: t("resetOne", { name: label }),
      onclick: () => {
        this.#reset();
        this.slider.focus();
      },
    }, icon("close", "small"));
    this.further = make("button", {
      class: "row-further link", type: "button", hidden: true, onclick: () => {
        this.#setReach(strength.maximum);
        this.slider.focus();
        this.changed();
      },
    }, t("further"));
    this.bar = make("span");
    this.chance = make("p", { class: "chance", hidden: true, id: `${id}-chance` },
      make("span", { class: "chance-bar", "aria-hidden": "true" }, this.bar), make("span", { class: "chance-text" }));
    this.slider = make("input", {
      class: "range", type: "range", step: strength.step, id, "aria-label": t("sliderOf", { name: label, less, more }),
      "aria-describedby": `${id}-chance`,
      onfocus: () => editing.select({ attribute: name }),
      oninput: (event) => {
        editing.move(name, this.slider.valueAsNumber, event.timeStamp);
        editing.select({ attribute: name });
      },
      onchange: () => this.#set(this.slider.valueAsNumber),
      ondblclick: () => this.#reset(`${editing.face} ${name}`), // one step with the clicks before it
      onkeydown: (event) => {
        if (!["Delete", "Backspace"].includes(event.key)) return;
        event.preventDefault();
        this.#reset();
      },
    });
    this.track = make("div", { class: "track" }, this.slider);
    this.#setReach(strength.usual);
    this.#listenToFingers();
    this.element = make("div", { class: "row" },
      make("div", { class: "row-head" },
        this.ends[0], make("span", { class: "row-middle" }, this.undo, this.value, this.reset), this.ends[1]),
      this.track, this.styles.element, this.further, this.chance);
  }

  takes({ strength, style }) { return this.styles.has(style) && (strength >= 0 || !this.isOneSided); }
  styleLabel(style) { return this.styles.label(style); }

  /** Whether a search finds the attribute: by its ends, its title, its group and what else people call it. */
  matches(query) { return query.split(/\s+/).every((word) => this.text.includes(word)); }

  #set(value) { this.editing.set({ [this.name]: value }, `${this.editing.face} ${this.name}`); }

  #reset(key = null) {
    this.#setReach(this.limits.usual);
    this.editing.set({ [this.name]: 0 }, key);
    this.changed();
  }

  /** Takes a value in percent, as it was typed. */
  #take(text) {
    const value = Number(text.replace(/−/g, "-").replace(/[%\s+]/g, "").replace(",", "."));
    if (text.trim() !== "" && Number.isFinite(value)) {
      this.editing.set({ [this.name]: clamp(value / 100, this.isOneSided ? 0 : -this.limits.maximum, this.limits.maximum) });
      this.editing.select({ attribute: this.name });
    }
    this.showStrength();
  }

  #setReach(reach) {
    this.reach = reach;
    [this.slider.min, this.slider.max] = [this.isOneSided ? 0 : -reach, reach];
    this.element?.classList.toggle("wide", reach > this.limits.usual);
    fill(this.slider);
  }

  /** Shows the strength, where the slider isn't the one that set it. */
  showStrength() {
    const strength = this.editing.strength(this.name);
    if (Math.abs(strength) > this.reach) this.#setReach(this.limits.maximum);
    if (this.slider.valueAsNumber !== strength) this.slider.valueAsNumber = strength;
    fill(this.slider);
    const text = signed(strength);
    const end = strength < 0 ? this.less : this.more;
    this.slider.setAttribute("aria-valuetext", strength === 0 ? t("asIs") : `${end} ${Math.round(Math.abs(strength) * 100)} %`);
    if (document.activeElement !== this.value) this.value.value = text;
    this.reset.disabled = strength === 0;
    this.undo.disabled = !this.editing.canStepBack(this.name);
    this.further.hidden = this.isOneSided || this.reach > this.limits.usual || Math.abs(strength) < this.limits.usual;
    this.styles.show(strength > 0 ? this.editing.style(this.name) : undefined);
    this.element.classList.toggle("changed", strength !== 0);
    this.ends.forEach((button, index) => {
      const end = index ? this.limits.usual : this.isOneSided ? 0 : -this.limits.usual;
      button.setAttribute("aria-pressed", String(strength === end));
    });
  }

  showSelection() { this.element.classList.toggle("selected", this.editing.attribute === this.name); }

  /** Shows how likely the model finds the attribute in the photo, and in the edited face where that is known. */
  showProbability(inPhoto, now = inPhoto) {
    const known = inPhoto !== undefined && !this.isVerdict;
    this.chance.hidden = !known;
    if (!known) return;
    this.bar.style.transform = `scaleX(${now})`;
    this.chance.lastChild.textContent = t(now === inPhoto ? "sees" : "seesNow", { now: percent(now), before: percent(inPhoto) });
  }

  // A finger that scrolls the list begins on a track: only a horizontal move is the slider's, by as much as the finger
  // moves. studio.css takes the slider itself away from pointers on such screens; a mouse there jumps and drags as usual.
  #listenToFingers() {
    let drag = null; // { id, x, y, value, moves }
    const { track, slider } = this;
    const cancel = () => {
      if (!drag) return;
      drag = null;
      this.editing.cancelMove();
    };
    track.addEventListener("pointerdown", (event) => {
      if (event.target === slider || event.button !== 0 || drag) return;
      drag = { id: event.pointerId, x: event.clientX, y: event.clientY, value: slider.valueAsNumber, moves: false };
      if (event.pointerType !== "mouse") return;
      event.preventDefault();
      const box = slider.getBoundingClientRect();
      drag.value = slider.min * 1 + (slider.max - slider.min) * clamp((event.clientX - box.left) / box.width, 0, 1);
      drag.moves = true;
      track.setPointerCapture(event.pointerId);
      move(event);
    });
    const move = (event) => {
      if (event.pointerId !== drag?.id) return;
      const [dx, dy] = [event.clientX - drag.x, event.clientY - drag.y];
      if (!drag.moves) {
        if (Math.abs(dy) > Math.max(horizontal, Math.abs(dx))) return cancel();
        if (Math.abs(dx) < horizontal) return;
        drag.moves = true;
        drag.x = event.clientX;
        track.setPointerCapture(event.pointerId);
        slider.focus({ focusVisible: false, preventScroll: true });
      }
      const width = slider.getBoundingClientRect().width;
      slider.valueAsNumber = drag.value + (event.clientX - drag.x) / width * (slider.max - slider.min);
      slider.dispatchEvent(new Event("input"));
    };
    track.addEventListener("pointermove", move);
    track.addEventListener("pointerup", (event) => {
      if (event.pointerId !== drag?.id) return;
      const { moves } = drag;
      drag = null;
      if (moves) slider.dispatchEvent(new Event("change"));
    });
    track.addEventListener("pointercancel", cancel);
  }
}

/** The styles of an attribute as buttons, colours as swatches; of colours any other can be chosen, too. */
class Styles {
  #buttons = new Map();
  #labels;
  #any = null; // of any other colour

  constructor(styles, name, take) {
    this.#labels = new Map(styles.map((style) => [style.name, style.label]));
    for (const { name, label, colour } of styles) {
      const button = make("button", {
        class: colour ? "style swatch" : "style", type: "button", "aria-pressed": "false", title: label, "aria-label": label,
        onclick: () => take(name),
      }, colour ? "" : label);
      if (colour) button.style.setProperty("--colour", colour);
      this.#buttons.set(name, button);
    }
    if (styles.some(({ colour }) => colour)) {
      this.#any = make("input", {
        class: "style swatch any", type: "color", value: "#8a4b2a", title: t("anyColour"), "aria-label": t("anyColour"),
        onchange: () => take(this.#any.value),
      });
    }
    this.element = make("div", { class: this.#any ? "styles colours" : "styles", role: "group", "aria-label": t("stylesOf", { name }), hidden: styles.length === 0 },
      ...this.#buttons.values(), ...this.#any ? [this.#any] : []);
  }

  has(style) { return style === undefined || this.#buttons.has(style) || this.#any !== null && /^#[0-9a-f]{6}$/i.test(style); }
  label(style) { return this.#labels.get(style) ?? style; }

  /** Marks the present style. */
  show(style) {
    for (const [name, button] of this.#buttons) button.setAttribute("aria-pressed", String(name === style));
    if (!this.#any) return;
    const isOther = style !== undefined && !this.#buttons.has(style);
    this.#any.classList.toggle("pressed", isOther);
    if (isOther) this.#any.value = style;
  }
}
