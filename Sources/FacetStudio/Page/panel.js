// The sliders: grouped attributes with their probabilities, the search box, and the presets.

import { byId, icon, make, percent, signed } from "./dom.js";

/** Fills a slider's track from zero to its value. */
function fill(slider) {
  const part = (value) => 100 * (value - slider.min) / (slider.max - slider.min);
  const [low, high] = [Math.min(0, slider.valueAsNumber), Math.max(0, slider.valueAsNumber)];
  slider.style.setProperty("--low", `${part(low)}%`);
  slider.style.setProperty("--high", `${part(high)}%`);
}

/** One attribute's slider with its name, probability, value and undo. */
class Row {
  /** `attribute` and `range` as the server's list of attributes has them. */
  constructor({ name, label }, range, editing, announce) {
    [this.name, this.label, this.editing] = [name, label, editing];
    const id = `row-${name}`;
    this.title = make("button", {
      class: "row-name", type: "button", "aria-pressed": "false", title: `Show the spectrum: ${label}`,
      onclick: () => editing.select({ attribute: name }),
    }, label);
    this.bar = make("span");
    this.chance = make("span", { class: "chance-text" });
    this.description = make("span", { class: "visually-hidden", id: `${id}-chance` });
    this.value = make("button", {
      class: "row-value", type: "button", title: "Reset", onclick: () => this.reset(),
    });
    this.undo = make("button", {
      class: "row-undo", type: "button", "aria-label": `Undo ${label}`, title: `Undo ${label}`,
      onclick: () => {
        editing.stepBack(name);
        announce(`${label} ${signed(editing.strength(name))}`);
        if (this.undo.disabled) this.slider.focus(); // a hidden button would lose the focus
      },
    }, icon("undo", "small"));
    this.slider = make("input", {
      class: "range", type: "range", min: range.minimum, max: range.maximum, step: range.step, value: 0, id,
      "aria-label": label, "aria-describedby": `${id}-chance`,
      onfocus: () => editing.select({ attribute: name }),
      oninput: (event) => {
        editing.move(name, this.slider.valueAsNumber, event.timeStamp);
        editing.select({ attribute: name }); // a finger does not always give it the focus
      },
      onchange: () => editing.set({ [name]: this.slider.valueAsNumber }, `${editing.face} ${name}`),
      ondblclick: () => this.reset(`${editing.face} ${name}`), // one step with the clicks before it
      onkeydown: (event) => {
        if (!["Delete", "Backspace"].includes(event.key)) return;
        event.preventDefault();
        this.reset();
      },
    });
    this.element = make("div", { class: "row" },
      make("div", { class: "row-head" },
        this.title,
        make("span", { class: "chance", "aria-hidden": "true" }, make("span", { class: "chance-bar" }, this.bar), this.chance),
        this.description, this.value, this.undo),
      this.slider);
  }

  /** Whether a search finds the attribute, by its label or the model's name. */
  matches(query) {
    const text = `${this.label} ${this.name.replaceAll("_", " ")}`.toLowerCase();
    return query.toLowerCase().split(/\s+/).every((word) => text.includes(word));
  }

  reset(key = null) {
    this.editing.set({ [this.name]: 0 }, key);
  }

  /** Shows the strength, where the slider isn't the one that set it. */
  showStrength() {
    const strength = this.editing.strength(this.name);
    if (this.slider.valueAsNumber !== strength) this.slider.valueAsNumber = strength;
    fill(this.slider);
    const text = signed(strength);
    this.slider.setAttribute("aria-valuetext", text);
    this.value.textContent = text;
    this.value.disabled = strength === 0;
    this.value.setAttribute("aria-label", `Reset ${this.label}, now ${text}`);
    this.undo.disabled = !this.editing.canStepBack(this.name);
    this.element.classList.toggle("changed", strength !== 0);
  }

  showSelection() {
    this.title.setAttribute("aria-pressed", String(this.editing.attribute === this.name));
  }

  /** Shows how likely the model finds the attribute in the photo, and in the edited face where that is known. */
  showProbability(inPhoto, now = inPhoto) {
    const known = inPhoto !== undefined;
    this.chance.parentElement.hidden = !known;
    this.bar.style.transform = `scaleX(${known ? now : 0})`;
    this.chance.textContent = known ? percent(now) : "";
    this.description.textContent = !known ? ""
      : now === inPhoto ? `${percent(inPhoto)} likely in the photo`
      : `${percent(now)} likely now, ${percent(inPhoto)} in the photo`;
  }
}

export class Panel {
  #editing;
  #announce;
  #rows = new Map();
  #groups = [];
  #presets = new Map();
  #range;
  #none;
  #edited = null; // probabilities of the edited face

  /** @param editing the `EditedDocument`; @param announce says a text to screen readers. */
  constructor(editing, announce) {
    [this.#editing, this.#announce] = [editing, announce];
    editing.addEventListener("edits", () => this.#showEdits());
    editing.addEventListener("selection", () => {
      this.#edited = null;
      for (const row of this.#rows.values()) row.showSelection();
      this.#showProbabilities();
      this.#showFaces();
      this.#showEdits();
    });
    editing.addEventListener("photo", () => {
      this.#makeFaces();
      this.#showEdits();
    });
    byId("search").addEventListener("input", () => this.#search());
    byId("search").addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      byId("search").value = "";
      this.#search();
    });
    byId("reset-all").addEventListener("click", () => {
      editing.resetAll();
      announce("All changes reset");
      byId("search").focus();
    });
  }

  /** Makes a slider for each attribute of the server's list. */
  build({ groups, strength }) {
    this.#range = strength;
    const sections = groups.map((group) => group.name === "presets" ? this.#presetGroup(group) : this.#group(group));
    const single = groups.filter((group) => group.name !== "presets").flatMap((group) => group.attributes);
    byId("search").placeholder = `Search ${single.length} attributes`;
    this.#none = make("p", { class: "none-found", hidden: true }, "No attribute of this name.");
    byId("groups").replaceChildren(...sections, this.#none);
    const first = single.find((attribute) => attribute.name === "Smiling") ?? single[0];
    if (first) this.#editing.select({ attribute: first.name });
  }

  /** What people call an attribute. */
  labelOf(name) { return this.#rows.get(name)?.label ?? name; }

  #group({ name, label, attributes }, presets = null) {
    const rows = attributes.map((attribute) => new Row(attribute, this.#range, this.#editing, this.#announce));
    for (const row of rows) this.#rows.set(row.name, row);
    const count = make("span", { class: "group-count" });
    const element = make("details", { class: "group", open: name !== "experimental" },
      make("summary", {}, icon("chevron", "small"), label, count),
      presets, make("div", { class: "rows" }, ...rows.map((row) => row.element)));
    this.#groups.push({ element, rows, count, presets });
    return element;
  }

  /** The combined directions: a button each that adds it, and a slider once it is added. */
  #presetGroup(group) {
    const buttons = group.attributes.map(({ name, label }) => {
      const button = make("button", {
        class: "chip", type: "button", "aria-pressed": "false",
        onclick: () => {
          const strength = this.#editing.strength(name) === 0 ? 1 : 0;
          this.#editing.set({ [name]: strength });
          this.#editing.select({ attribute: name });
          this.#announce(`${label} ${strength ? "added" : "removed"}`);
        },
      }, label);
      this.#presets.set(name, button);
      return button;
    });
    return this.#group(group, make("div", { class: "presets" }, ...buttons));
  }

  // --- What changes

  #showEdits() {
    for (const row of this.#rows.values()) row.showStrength();
    for (const [name, button] of this.#presets) {
      const strength = this.#editing.strength(name);
      button.setAttribute("aria-pressed", String(strength !== 0));
      this.#rows.get(name).element.hidden = strength === 0;
    }
    for (const { rows, count } of this.#groups) {
      const changed = rows.filter((row) => this.#editing.strength(row.name) !== 0).length;
      count.textContent = changed > 0 ? `${changed} changed` : "";
    }
    const total = this.#editing.changeCount;
    byId("change-count").textContent = total === 0 ? "No changes" : total === 1 ? "1 change" : `${total} changes`;
    byId("reset-all").disabled = total === 0;
  }

  /** Shows what the model sees in the edited face; `null` where it has not been measured. */
  set editedProbabilities(value) {
    this.#edited = value;
    this.#showProbabilities();
  }

  #showProbabilities() {
    const inPhoto = this.#editing.photo?.faces[this.#editing.face]?.attributes ?? {};
    for (const row of this.#rows.values()) row.showProbability(inPhoto[row.name], this.#edited?.[row.name]);
  }

  #makeFaces() {
    const faces = this.#editing.photo.faces;
    byId("face-picker").hidden = faces.length < 2;
    byId("face-picker").replaceChildren(...faces.map((_, index) => make("button", {
      class: "chip", type: "button", onclick: () => this.#editing.select({ face: index }),
    }, `Face ${index + 1}`)));
    this.#edited = null;
    this.#showProbabilities();
    this.#showFaces();
  }

  #showFaces() {
    [...byId("face-picker").children].forEach((button, index) => {
      button.setAttribute("aria-pressed", String(index === this.#editing.face));
    });
  }

  #search() {
    const query = byId("search").value.trim();
    let found = 0;
    for (const { element, rows, presets } of this.#groups) {
      let inGroup = 0;
      for (const row of rows) {
        const shown = row.matches(query);
        const preset = this.#presets.get(row.name);
        if (preset) preset.hidden = !shown;
        row.element.hidden = !shown || (Boolean(preset) && this.#editing.strength(row.name) === 0);
        if (shown) inGroup += 1;
      }
      element.hidden = inGroup === 0;
      if (query !== "") element.open = true;
      found += inGroup;
      presets?.toggleAttribute("hidden", inGroup === 0);
    }
    this.#none.hidden = found > 0;
    if (query !== "") this.#announce(found === 1 ? "1 attribute" : `${found} attributes`);
  }
}
