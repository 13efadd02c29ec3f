// Puts the studio together: what happens where reads from here.

import * as api from "./api.js";
import { setUpCamera } from "./camera.js";
import { setUpDivider } from "./compare.js";
import { Connection } from "./connection.js";
import { EditedDocument } from "./document.js";
import { byId } from "./dom.js";
import { FaceOutlines } from "./faces.js";
import { Morph } from "./morph.js";
import { announce, banner, inWords, note } from "./notices.js";
import { Panel } from "./panel.js";
import { Preview } from "./preview.js";
import { setUpShortcuts } from "./shortcuts.js";
import { Spectrum } from "./spectrum.js";
import { setUpFiles, Strangers } from "./start.js";
import { PhotoView } from "./view.js";

const editing = new EditedDocument();
const view = new PhotoView(byId("viewport"), byId("canvas"));
const preview = new Preview(editing, view);
const panel = new Panel(editing, announce);
const outlines = new FaceOutlines(editing, view);
const spectrum = new Spectrum(editing, (name) => panel.labelOf(name), announce);
const morph = new Morph(view);
const connection = new Connection();
const strangers = new Strangers((photo) => show({ ...photo, name: "Random face" }));
let limits = { photoBytes: Infinity };
let ready = false; // the list of attributes is there

// --- Modes: "start", "edit", "morph"

const mode = () => document.body.dataset.mode;

function enter(name) {
  if (mode() === "morph" && name !== "morph") {
    morph.end();
    preview.restore();
    outlines.shown = true;
  }
  document.body.dataset.mode = name;
  byId("morph-mode").setAttribute("aria-pressed", String(name === "morph"));
  for (const id of ["panel", "spectrum"]) byId(id).hidden = name === "morph";
  for (const id of ["morph-panel", "morph-bar"]) byId(id).hidden = name !== "morph";
  for (const id of ["compare", "toggle-faces"]) byId(id).disabled = name === "morph";
  byId("start-back").hidden = !editing.photo;
  byId("start-problem").hidden = true;
  document.title = name === "start" ? "Facet studio" : `${editing.photo.name} – Facet studio`;
  if (name === "morph") {
    view.comparing = false;
    outlines.shown = false;
    byId("compare").setAttribute("aria-pressed", "false");
    morph.begin(editing.photo, editing.face, editing.photo.name);
  }
  showHistory();
  if (name === "start" && !strangers.loaded && ready) strangers.refresh();
}

// --- Photos

let opening = 0;

/** Sends a photo, or asks for one of the server's; `make` gives it, and can do so again. */
async function open(name, make) {
  const turn = ++opening;
  const second = mode() === "morph";
  setOpening(true);
  announce("Looking for faces");
  try {
    const photo = { ...(await make()), name, again: make };
    if (turn !== opening) {
      api.removePhoto(photo.id).catch(() => {});
    } else if (second) {
      byId("morph-problem").hidden = true;
      morph.setSecond(photo, name);
    } else {
      show(photo);
    }
  } catch (error) {
    if (turn === opening) refuse(error, name);
  } finally {
    if (turn === opening) setOpening(false);
  }
}

function setOpening(value) {
  document.body.classList.toggle("opening", value);
  byId("drop").setAttribute("aria-busy", String(value));
  byId("start-title").textContent = value ? "Looking for faces…" : "Start with a face";
  setBusy(value);
}

function take(file) {
  if (limits.photoBytes < file.size) {
    refuse({ message: `“${file.name}” is larger than the ${Math.floor(limits.photoBytes / 1e6)} MB that the studio takes.` });
    return;
  }
  open(file.name || "Pasted photo", () => api.addPhoto(file));
}

function refuse(error, name) {
  if (error instanceof api.Unreachable) connection.lose();
  const text = inWords(error, name);
  const problem = { start: "start-problem", morph: "morph-problem" }[mode()];
  if (!problem) {
    note(text);
    return;
  }
  byId(problem).textContent = text;
  byId(problem).hidden = false;
}

function show(photo) {
  if (editing.photo) api.removePhoto(editing.photo.id).catch(() => {});
  byId("file-name").textContent = photo.name;
  enterWith(photo);
  const { length } = photo.faces;
  announce(length === 1 ? "One face found. The sliders edit it." : `${length} faces found. The largest is selected.`);
  byId("viewport").focus({ preventScroll: true });
}

function enterWith(photo) {
  document.body.dataset.mode = "edit"; // so that the view has its size
  view.open(photo);
  editing.open(photo);
  outlines.shown = true;
  setComparing(false);
  enter("edit");
  preview.open();
}

// --- The picture follows the edits

editing.addEventListener("edits", ({ detail }) => {
  byId("viewport").classList.toggle("adjusting", detail.live);
  byId("canvas").setAttribute("aria-label", describe());
  showHistory();
  if (editing.photo) preview.follow(detail.start ?? performance.now());
});
editing.addEventListener("selection", ({ detail }) => {
  if (detail.faceChanged) announce(`Face ${editing.face + 1} selected`);
  preview.refreshSoon();
});
preview.addEventListener("still", async ({ detail: { signal } }) => {
  const { photo, face, edits } = editing;
  try {
    if (edits.some((edit) => edit.face === face)) {
      const own = edits.filter((edit) => edit.face === face);
      const inspection = await api.inspect(photo.id, { face, edits: own }, signal);
      if (!signal.aborted) panel.editedProbabilities = inspection.attributes;
    } else {
      panel.editedProbabilities = null;
    }
    if (mode() === "edit") await spectrum.refresh(signal);
  } catch (error) {
    if (!api.isAborted(error)) fail(error);
  }
});
preview.addEventListener("shown", ({ detail }) => {
  // For whoever measures: what a slider's movement cost until its picture was drawn.
  performance.clearMeasures("preview");
  performance.measure("preview", { start: detail.start, end: detail.shown, detail });
});
preview.addEventListener("failed", ({ detail }) => fail(detail.error));
for (const source of [preview, morph]) source.addEventListener("busy", ({ detail }) => setBusy(detail.busy));
morph.addEventListener("failed", ({ detail }) => fail(detail.error));

function describe() {
  const edits = editing.edits.map(({ attribute, strength }) => `${panel.labelOf(attribute)} ${strength}`);
  return edits.length === 0 ? "The photo, unedited" : `The photo, edited: ${edits.join(", ")}`;
}

function setBusy(value) { byId("viewport").classList.toggle("busy-now", value); }

// --- Faults, and the server gone and back

function fail(error) {
  if (error instanceof api.Unreachable) {
    connection.lose();
  } else if (error.status === 401) {
    byId("token").showModal();
  } else if (error.status === 404) {
    reopen();
  } else if (error.status === 503) {
    setTimeout(() => preview.refresh(), error.retryAfter * 1000);
  } else {
    note(inWords(error));
  }
}

let reopening = null;

/** Gives the server the photo again, after it has forgotten it; the edits are the page's and stay. */
function reopen() {
  reopening ??= (async () => {
    try {
      const { photo } = editing;
      const again = await photo.again();
      if (editing.photo === photo) editing.reopen(again.id);
      if (mode() === "morph") await morph.reopen();
      else preview.refresh();
    } catch (error) {
      if (error instanceof api.Unreachable) connection.lose();
      else note(inWords(error, editing.photo.name));
    } finally {
      reopening = null;
    }
  })();
}

connection.addEventListener("lost", () => {
  banner("The studio’s server does not answer. Your edits are kept; trying again…", {
    label: "Try now", run: () => connection.check(),
  });
});
connection.addEventListener("back", () => {
  banner(null);
  note("The server is back.", { calm: true });
  if (!ready) begin();
  else if (mode() === "start") strangers.refresh();
  if (editing.photo) {
    api.getPhoto(editing.photo.id).then(() => preview.refresh(), fail);
  }
});

byId("token-form").addEventListener("submit", () => {
  api.useToken(byId("token-text").value);
  byId("token-text").value = "";
  if (ready) preview.refresh();
  else begin();
});
byId("token").addEventListener("cancel", (event) => event.preventDefault());

// A photo is forgotten with its page. One that comes back from the browser's cache sends it again.
addEventListener("pagehide", () => {
  if (editing.photo) api.forget(editing.photo.id);
  strangers.forget();
});

// --- The bar

function showHistory() {
  byId("undo").disabled = !editing.canUndo || mode() === "morph";
  byId("redo").disabled = !editing.canRedo || mode() === "morph";
}

function setComparing(value) {
  view.comparing = value;
  // Through the middle of the face, so that the edit is seen at once.
  if (value) {
    const { box } = editing.photo.faces[editing.face];
    view.divideAt(box.x + box.width / 2);
  }
  byId("compare").setAttribute("aria-pressed", String(value));
}

function step(direction) {
  if (byId(direction).disabled) return;
  editing[direction]();
  announce(`${direction === "undo" ? "Undone" : "Redone"}. ${byId("change-count").textContent}.`);
}

async function download() {
  const button = byId("download");
  if (!editing.photo || button.disabled || mode() === "start") return;
  if (mode() === "morph" && !morph.complete) {
    note("Choose the second face first.", { calm: true });
    return;
  }
  button.disabled = true;
  announce("Preparing the file");
  try {
    const { blob, name } = mode() === "morph"
      ? await morph.download() : await api.render(editing.photo.id, { edits: editing.edits });
    const extension = name.slice(name.lastIndexOf("."));
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = `${editing.photo.name.replace(/\.[^.]*$/, "")}-${mode() === "morph" ? "morph" : "edited"}${extension}`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
    note(`Saved as ${link.download}`, { calm: true });
  } catch (error) {
    fail(error);
  } finally {
    button.disabled = false;
  }
}

const compare = () => { if (mode() === "edit") setComparing(!view.comparing); };
byId("undo").addEventListener("click", () => step("undo"));
byId("redo").addEventListener("click", () => step("redo"));
byId("compare").addEventListener("click", compare);
byId("morph-mode").addEventListener("click", () => enter(mode() === "morph" ? "edit" : "morph"));
byId("download").addEventListener("click", download);
byId("new-photo").addEventListener("click", () => {
  enter("start");
  byId("choose").focus();
});
byId("start-back").addEventListener("click", () => enter("edit"));
byId("sample").addEventListener("click", () => open("Sample portrait", api.addSample));
byId("morph-choose").addEventListener("click", () => byId("file").click());
byId("morph-random").addEventListener("click", () => {
  const seed = Math.floor(Math.random() * 2 ** 32);
  open("Random face", () => api.addRandomFace(seed));
});

const zoom = (factor) => view.zoomBy(factor);
byId("zoom-in").addEventListener("click", () => zoom(1.4));
byId("zoom-out").addEventListener("click", () => zoom(1 / 1.4));
byId("zoom-fit").addEventListener("click", () => view.fit());
view.addEventListener("view", () => {
  byId("zoom-level").textContent = `${Math.round(view.zoom * 100)} %`;
});

setUpDivider(view, byId("viewport"), byId("divider"));
setUpFiles(take);
setUpCamera(take);
setUpShortcuts({
  undo: () => step("undo"),
  redo: () => step("redo"),
  compare,
  hold: (value) => { view.holding = value && mode() === "edit"; },
  zoom,
  fit: () => view.fit(),
  search: () => byId("search").focus(),
  choose: () => byId("file").click(),
  download,
});

// --- Begin

async function begin() {
  try {
    const list = await api.attributes();
    limits = list.limits;
    preview.largest = limits.previewSize;
    panel.build(list);
    ready = true;
    if (mode() === "start") strangers.refresh();
  } catch (error) {
    fail(error);
  }
}

begin();
