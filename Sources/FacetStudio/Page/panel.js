// The sliders in groups, the search box, and what the model sees.

import { byId, icon, make } from "./dom.js";
import { neededStyles } from "./document.js";
import { Row } from "./row.js";
import { t } from "./texts.js";

const seeStorage = "facet-see";

export class Panel {
  #editing;
  #announce;
  #rows = new Map();
  #groups = []; // { element, rows, count }
  #none;
  #edited = null; // probabilities of the edited face
  #changed;

  /** @param editing the `EditedDocument`; @param announce says a text to screen readers; @param changed a row's reach. */
  constructor(editing, announce, changed) {
    [this.#editing, this.#announce, this.#changed] = [editing, announce, changed];
    editing.addEventListener("edits", () => this.#showEdits());
    editing.addEventListener("selection", ({ detail }) => {
      if (detail.faceChanged) this.#edited = null;
      for (const row of this.#rows.values()) row.showSelection();
      this.#showProbabilities();
      if (detail.faceChanged) this.#showEdits();
    });
    editing.addEventListener("photo", () => {
      this.#edited = null;
      this.#showProbabilities();
      this.#showEdits();
    });
    const search = byId("search");
    search.addEventListener("input", () => this.#search());
    search.addEventListener("keydown", (event) => {
      if (event.key === "Escape") {
        search.value = "";
        this.#search();
      } else if (event.key === "Enter") {
        event.preventDefault();
        const first = [...this.#rows.values()].find((row) => row.element.checkVisibility());
        first?.slider.focus();
      }
    });
    byId("reset-all").addEventListener("click", () => {
      editing.resetAll();
      announce(t("allReset"));
      search.focus();
    });
    const see = byId("see");
    see.checked = localStorage.getItem(seeStorage) === "on";
    see.addEventListener("change", () => {
      localStorage.setItem(seeStorage, see.checked ? "on" : "off");
      this.#showProbabilities();
      this.seeing();
    });
  }

  /** Called when the wish to see what the model sees has changed. */
  seeing = () => {};
  get sees() { return byId("see").checked; }

  /** Makes a slider for each attribute of the server's list. */
  build({ groups, strength }) {
    this.#rows.clear();
    this.#groups = [];
    neededStyles.clear();
    for (const { name, neededStyle } of groups.flatMap((group) => group.attributes)) if (neededStyle) neededStyles.set(name, neededStyle);
    const sections = groups.map((group) => this.#group(group, strength));
    this.#none = make("p", { class: "none-found", hidden: true }, t("noneFound"));
    byId("groups").replaceChildren(...sections, this.#none);
    this.#showEdits();
  }

  get names() { return [...this.#rows.keys()]; }
  /** Whether an edit can be made: there is its attribute, a style of it, and that side of zero. */
  takes(edit) { return this.#rows.get(edit.attribute)?.takes(edit) ?? false; }

  /** What people call an attribute and its ends, and how far its slider goes. */
  words(name) { return this.#rows.get(name) ?? { label: name, less: "−", more: "+", reach: 1 }; }

  /** An edit in words: `Older 50 %`. */
  describe({ attribute, strength, style }) {
    const { less, more } = this.words(attribute);
    const drawn = style ? `${more} (${this.#rows.get(attribute)?.styleLabel(style) ?? style})` : more;
    return t("amount", { name: strength < 0 ? less : drawn, percent: Math.round(Math.abs(strength) * 100) });
  }

  /** The first attribute of those that lead in whose end the face is not yet. */
  suggestion(photo) {
    const seen = photo.faces[0].attributes;
    return this.#groups[0]?.rows.find((row) => (seen[row.name] ?? 0) < 0.5)?.name ?? this.names[0];
  }

  #group({ name, label, attributes }, strength) {
    const rows = attributes.map((attribute) =>
      new Row(attribute, label, strength, this.#editing, this.#announce, this.#changed));
    for (const row of rows) this.#rows.set(row.name, row);
    const list = make("div", { class: "rows" }, ...rows.map((row) => row.element));
    const count = make("span", { class: "group-count" });
    const element = name === "lead" ? make("div", { class: "group lead-group" }, list)
      : make("details", { class: "group", name: undefined }, make("summary", {}, icon("chevron", "small"), label, count), list);
    this.#groups.push({ element, rows, count });
    return element;
  }

  // --- What changes

  #showEdits() {
    for (const row of this.#rows.values()) row.showStrength();
    for (const { rows, count } of this.#groups) {
      const changed = rows.filter((row) => this.#editing.strength(row.name) !== 0).length;
      count.textContent = changed > 0 ? t("changed", { count: changed }) : "";
    }
    const edits = this.#editing.photo ? this.#editing.edits : [];
    const faces = new Set(edits.map((edit) => edit.face)).size;
    const several = this.#editing.photo?.faces.length > 1 && edits.length > 0;
    byId("change-count").textContent = edits.length === 0 ? t("noChanges")
      : several ? t("changesIn", { count: edits.length, changes: t("changes", { count: edits.length }), faces: t("inFaces", { count: faces }) })
      : t("changes", { count: edits.length });
    byId("reset-all").disabled = edits.length === 0;
  }

  /** Shows what the model sees in the edited face; `null` where it has not been measured. */
  set editedProbabilities(value) {
    this.#edited = value;
    this.#showProbabilities();
  }

  #showProbabilities() {
    const inPhoto = this.sees ? this.#editing.photo?.faces[this.#editing.face]?.attributes ?? {} : {};
    for (const row of this.#rows.values()) row.showProbability(inPhoto[row.name], this.#edited?.[row.name]);
  }

  #search() {
    const query = byId("search").value.trim().toLowerCase();
    let found = 0;
    for (const { element, rows } of this.#groups) {
      let inGroup = 0;
      for (const row of rows) {
        const shown = row.matches(query);
        row.element.hidden = !shown;
        if (shown) inGroup += 1;
      }
      element.hidden = inGroup === 0;
      if (element.tagName === "DETAILS") element.open = query !== "";
      found += inGroup;
    }
    this.#none.hidden = found > 0;
    if (query !== "") this.#announce(t("found", { count: found }));
  }
}
