// Puts the studio together: what happens where reads from here.

import * as api from "./api.js";
import { setUpDivider } from "./compare.js";
import { Connection } from "./connection.js";
import { changes, EditedDocument } from "./document.js";
import { byId, dress, make, save } from "./dom.js";
import { Faces } from "./faces.js";
import { Looks } from "./looks.js";
import { announce, ask, banner, inWords, note } from "./notices.js";
import { Panel } from "./panel.js";
import { Preview } from "./preview.js";
import { setUpPrompt } from "./prompt.js";
import { setUpShortcuts } from "./shortcuts.js";
import { Spectrum } from "./spectrum.js";
import { Demo, setUpFiles } from "./start.js";
import { language, languages, t, useLanguage } from "./texts.js";
import { Tray } from "./tray.js";
import { PhotoView } from "./view.js";

dress();

const editing = new EditedDocument();
const view = new PhotoView(byId("viewport"), byId("canvas"));
const preview = new Preview(editing, view);
const panel = new Panel(editing, announce, () => {
  spectrum.update();
  preview.refreshSoon();
});
const faces = new Faces(editing, view);
const spectrum = new Spectrum(editing, (name) => panel.words(name), announce);
const looks = new Looks(editing, announce);
const tray = new Tray(editing, (item) => show(item), closePhoto);
const connection = new Connection();
const demo = new Demo();
let morph = null; // made when it is asked for
let brush = null; // the same
let list = null; // the server's list of attributes, once it is there
let linked = linkedEdits(); // edits of the address, for the next photo

// --- Modes: "start", "edit", "morph"; studio.css shows what belongs to each

const mode = () => document.body.dataset.mode;

async function enter(name) {
  if (mode() === "morph" && name !== "morph") {
    morph.end();
    preview.restore();
    faces.shown = editing.photo.faces.length > 1;
  }
  protect(false);
  document.body.dataset.mode = name;
  byId("morph-mode").setAttribute("aria-pressed", String(name === "morph"));
  for (const id of ["compare", "toggle-faces", "zoom-face", "protect"]) byId(id).disabled = name === "morph";
  byId("start-back").hidden = !editing.photo;
  byId("start-problem").hidden = true;
  document.title = name === "start" ? t("title") : `${editing.photo.name} – ${t("title")}`;
  if (name === "morph") {
    setComparing(false);
    faces.shown = false;
    byId("morph-problem").hidden = true;
    await loadMorph();
    if (mode() === "morph") {
      const { photo, face, strokes } = editing;
      morph.begin({ photo, face, name: faceName(tray.present, face), edits: editing.editsOf(face), strokes }, otherFaces());
    }
  }
  showHistory();
}

async function loadMorph() {
  if (morph) return;
  const { Morph } = await import("./morph.js");
  morph = new Morph(view, list.limits.animations);
  morph.addEventListener("failed", ({ detail }) => fail(detail.error));
  morph.addEventListener("busy", ({ detail }) => setBusy(detail.busy));
}

/** Lets the brush draw what stays as it was, or takes it away. */
async function protect(on) {
  if (on && mode() !== "edit") return;
  if (on && !brush) {
    const { Brush } = await import("./brush.js");
    brush ??= new Brush(editing, view, announce);
  }
  brush?.use(on);
  byId("protect").setAttribute("aria-pressed", String(on));
}

function faceName({ photo }, face) {
  return photo.faces.length > 1 ? t("faceIn", { number: faces.numberOf(face) || face + 1, name: photo.name }) : photo.name;
}

/** The faces of the open photos beside the selected one, as ends of a morph. */
function otherFaces() {
  return tray.items.flatMap((item) => item.photo.faces.map((_, face) => ({
    photo: item.photo, face, name: faceName(item, face), strokes: tray.strokes(item),
    edits: tray.edits(item).filter((edit) => edit.face === face).map(({ face: _, ...edit }) => edit),
  }))).filter(({ photo, face }) => photo !== editing.photo || face !== editing.face).slice(0, 24);
}

// --- Photos

let opening = null; // AbortController of the photos that are being opened

/** Opens photos one after the other: `[{ name, make }]`; `make` gives one, and can do so again. */
async function open(sources) {
  opening?.abort();
  const controller = opening = new AbortController();
  const { signal } = controller;
  const second = mode() === "morph";
  let first = true;
  byId("start-problem").hidden = true;
  document.body.classList.add("opening");
  announce(t("lookingForFaces"));
  for (const [index, { name, make: load }] of sources.entries()) {
    const of = sources.length > 1 ? t("photoOf", { number: index + 1, count: sources.length }) : "";
    const late = setTimeout(() => showProgress(name, 0, of), 400);
    try {
      const progress = (part) => showProgress(name, part, of, byId("progress").hidden);
      const photo = { ...(await load({ signal, progress })), name, again: load };
      if (signal.aborted) {
        api.removePhoto(photo.id);
      } else if (second) {
        byId("morph-problem").hidden = true;
        const item = tray.add(photo);
        tray.show();
        if (first) morph.setSecond({ photo, face: 0, name: faceName(item, 0), edits: [], strokes: [] });
      } else {
        const item = tray.add(photo);
        if (first) show(item, { isNew: true });
        else tray.show();
        tray.keep();
      }
      first = false;
    } catch (error) {
      if (!signal.aborted && !api.isAborted(error)) refuse(error, name);
    } finally {
      clearTimeout(late);
    }
    if (signal.aborted) break;
  }
  if (opening !== controller) return;
  opening = null;
  document.body.classList.remove("opening");
  byId("progress").hidden = true;
}

/** Tells how much of a photo has gone; `waits` for what may be over soon. */
function showProgress(name, part, of, waits = false) {
  byId("progress-text").textContent = [of, part < 1 && part > 0 ? t("sending", { name }) : t("lookingForFaces")].filter(Boolean).join(" ");
  if (part < 1 && part > 0) byId("progress-bar").value = part * 100;
  else byId("progress-bar").removeAttribute("value");
  if (!waits) byId("progress").hidden = false;
}

function take(files) {
  const most = list?.limits.photoBytes ?? Infinity;
  const large = files.find((file) => file.size > most);
  if (large) {
    refuse({ message: t("tooLarge", { name: large.name, megabytes: Math.floor(most / 1e6) }) });
    files = files.filter((file) => file.size <= most);
  }
  if (files.length > 0) {
    open(files.map((file) => ({
      name: stillName(file.name || t("pastedPhoto")), make: async (options) => api.addPhoto(await still(file), options),
    })));
  }
}

/** The first picture of a GIF, which the server does not take, for it may be many. */
async function still(file) {
  if (file.type !== "image/gif") return file;
  const bitmap = await createImageBitmap(file).catch(() => null);
  if (!bitmap) return file;
  const canvas = make("canvas", { width: bitmap.width, height: bitmap.height });
  canvas.getContext("2d").drawImage(bitmap, 0, 0);
  bitmap.close();
  note(t("firstOfGIF", { name: file.name }), { calm: true });
  return new Promise((resolve) => { canvas.toBlob(resolve, "image/png"); });
}

const stillName = (name) => name.replace(/\.gif$/i, ".png");

function refuse(error, name) {
  if (error instanceof api.Unreachable) connection.lose();
  if (error.status === 401) return fail(error);
  const text = inWords(error, name);
  const problem = { start: "start-problem", morph: "morph-problem" }[mode()];
  if (!problem) return note(text);
  byId(problem).textContent = text;
  byId(problem).hidden = false;
}

/** Puts a photo of the tray on the stage. */
function show(item, { isNew = false } = {}) {
  if (mode() === "morph") morph.end();
  protect(false);
  byId("file-name").textContent = item.photo.name;
  document.body.dataset.mode = "edit"; // so that the view has its size
  setComparing(false);
  tray.choose(item);
  preview.open();
  enter("edit");
  faces.shown = item.photo.faces.length > 1;
  const { length } = item.photo.faces;
  if (!editing.attribute || isNew) editing.select({ attribute: panel.suggestion(item.photo) });
  // A face that is small is what one came for.
  if (view.partOf(item.photo.faces[editing.face].box) < 0.25) view.showBox(item.photo.faces[editing.face].box, 0.5);
  if (isNew) {
    announce(t(length === 1 ? "faceFound" : "facesFound", { count: length }));
    if (linked.length > 0) {
      editing.apply(linked.filter((edit) => panel.takes(edit)));
      linked = [];
      byId("start-lead").textContent = t("startLead");
    }
  }
  byId("viewport").focus({ preventScroll: true, focusVisible: false });
}

async function closePhoto(item) {
  if (tray.isUnsaved(item) && !(await ask(t("closeUnsaved", { name: item.photo.name }), t("closeAnyway")))) return;
  const { items } = tray;
  const next = items[items.indexOf(item) + 1] ?? items[items.indexOf(item) - 1];
  const wasPresent = item === tray.present;
  tray.remove(item);
  if (wasPresent && next) show(next);
}

/** The edits that the address names, `#edit=Smiling:1,Young:-0.5,Hair:1:auburn`. */
function linkedEdits() {
  const text = new URLSearchParams(location.hash.slice(1)).get("edit");
  if (!text) return [];
  history.replaceState(null, "", location.pathname);
  return text.split(",").map((part) => part.split(":")).map(([attribute, strength, style]) => ({ attribute, strength: Number(strength), style }))
    .filter(({ strength }) => Math.abs(strength) <= 2 && strength !== 0);
}

// --- The picture follows the edits

editing.addEventListener("edits", ({ detail }) => {
  byId("viewport").classList.toggle("adjusting", detail.live);
  byId("canvas").setAttribute("aria-label", describe());
  showHistory();
  if (editing.photo) preview.follow(detail.start ?? performance.now());
});
editing.addEventListener("selection", ({ detail }) => {
  if (detail.faceChanged) {
    announce(editing.all ? t("allSelected") : t("faceSelected", { number: faces.numberOf(editing.face) }));
    if (!view.isFitted && !view.sees(view.interest)) view.centreOn(view.interest.x, view.interest.y);
  }
  preview.refreshSoon();
});
preview.addEventListener("still", async ({ detail: { signal } }) => {
  if (mode() !== "edit") return;
  faces.draw(preview.original);
  const { photo, face } = editing;
  try {
    await spectrum.refresh(signal);
    await looks.refresh(signal);
    const own = editing.edits.filter((edit) => edit.face === face);
    const inspection = panel.sees && own.length > 0 ? await api.inspect(photo.id, { face, edits: own }, signal) : null;
    if (!signal.aborted) panel.editedProbabilities = inspection?.attributes ?? null;
  } catch (error) {
    if (!api.isAborted(error)) fail(error);
  }
});
panel.seeing = looks.changed = () => preview.refresh();
preview.addEventListener("shown", ({ detail }) => {
  // For whoever measures: what a slider's movement cost until its picture was drawn.
  performance.clearMeasures("preview");
  performance.measure("preview", { start: detail.start, end: detail.shown, detail });
});
preview.addEventListener("failed", ({ detail }) => fail(detail.error));
preview.addEventListener("busy", ({ detail }) => setBusy(detail.busy));

function describe() {
  const edits = editing.edits.map((edit) => panel.describe(edit));
  return edits.length === 0 ? t("unedited") : t("edited", { edits: edits.join(", ") });
}

function setBusy(value) { byId("viewport").classList.toggle("busy-now", value); }

// --- Faults, and the server gone and back

function fail(error) {
  if (error instanceof api.Unreachable) {
    connection.lose();
  } else if (error.status === 401) {
    byId("token-why").textContent = t(api.hasToken() ? "tokenWrong" : "tokenWhy");
    if (!byId("token").open) byId("token").showModal();
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
    const { photo } = editing;
    try {
      if (!photo.again) {
        // After a reload the page has the server's copy alone.
        note(t("photoGone", { name: photo.name }));
        tray.remove(tray.present);
        if (tray.items.length > 0) show(tray.items[0]);
        else enter("start");
        return;
      }
      tray.renew(photo, (await photo.again({})).id);
      if (mode() === "morph") morph.reload();
      else preview.refresh();
    } catch (error) {
      if (error instanceof api.Unreachable) connection.lose();
      else note(inWords(error, photo.name));
    } finally {
      reopening = null;
    }
  })();
}

connection.addEventListener("lost", () => banner(t("serverLost"), { label: t("tryNow"), run: () => connection.check() }));
connection.addEventListener("back", () => {
  banner(null);
  note(t("serverBack"), { calm: true });
  if (!list) begin();
  else if (editing.photo) api.getPhoto(editing.photo.id).then(() => preview.refresh(), fail);
});

byId("token-form").addEventListener("submit", () => {
  api.useToken(byId("token-text").value);
  byId("token-text").value = "";
  if (list) preview.refresh();
  else begin();
});
byId("token").addEventListener("cancel", (event) => event.preventDefault());
addEventListener("beforeunload", (event) => { if (tray.hasUnsaved) event.preventDefault(); });

// --- The bar

function showHistory() {
  byId("undo").disabled = !editing.canUndo || mode() === "morph";
  byId("redo").disabled = !editing.canRedo || mode() === "morph";
  byId("protect").classList.toggle("edited", editing.strokes.length > 0);
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

function setSideBySide(value) {
  view.sideBySide = value;
  byId("side-by-side").setAttribute("aria-pressed", String(value));
}

function step(direction) {
  if (byId(direction).disabled) return;
  editing[direction]();
  announce(`${t(direction === "undo" ? "undone" : "redone")}. ${byId("change-count").textContent}.`);
}

function showSteps() {
  const inWordsOf = ({ edits, before, isStroke }) => {
    const key = ({ face, attribute }) => `${face} ${attribute}`;
    const amount = ({ strength, style }) => `${strength} ${style}`;
    const old = new Map(before.map((edit) => [key(edit), amount(edit)]));
    const now = new Set(edits.map(key));
    const changed = edits.filter((edit) => old.get(key(edit)) !== amount(edit)).map((edit) => panel.describe(edit));
    const gone = before.filter((edit) => !now.has(key(edit))).map((edit) => t("stepReset", { name: panel.words(edit.attribute).label }));
    if (isStroke) return t("stepProtect");
    return [...new Set([...changed, ...gone])].slice(0, 4).join(", ") || t("asOpened");
  };
  byId("steps").replaceChildren(...editing.steps.map((entry) => make("li", {}, make("button", {
    class: "step", type: "button", "aria-current": entry.isPresent ? "step" : null, onclick: () => {
      editing.go(entry.index);
      showSteps();
      byId("steps").children[entry.index].firstChild.focus();
    },
  }, entry.index === 0 ? t("asOpened") : inWordsOf(entry)))));
}

const extension = (name) => name.slice(name.lastIndexOf("."));
const stem = (name) => name.replace(/\.[^.]*$/, "");

async function download() {
  const button = byId("download");
  if (!editing.photo || button.disabled || mode() === "start") return;
  if (mode() === "morph" && !morph.complete) {
    note(t("morphIncomplete"), { calm: true });
    return;
  }
  button.disabled = true;
  announce(t("preparing"));
  try {
    if (mode() === "morph") {
      const { blob, name } = await morph.download();
      saved(blob, `${stem(editing.photo.name)}-morph${extension(name)}`);
    } else {
      const { blob, name } = await api.render(
        editing.photo.id, await changes(editing.photo, editing.edits, editing.strokes));
      saved(blob, `${stem(editing.photo.name)}-edited${extension(name)}`);
      tray.markSaved();
    }
  } catch (error) {
    fail(error);
  } finally {
    button.disabled = false;
  }
}

function saved(blob, name) {
  save(blob, name);
  note(t("savedAs", { name }), { calm: true });
}

/** What the sheet of other ways to keep the picture, which is loaded when it is asked for, does. */
async function keep(action) {
  if (!editing.photo || mode() !== "edit") return;
  try {
    const sheet = await import("./export.js");
    await sheet[action]({ editing, tray, panel, limits: list.limits, saved, fail, stem, extension });
  } catch (error) {
    fail(error);
  }
}

const compare = () => { if (mode() === "edit") setComparing(!view.comparing); };
const hold = (value) => { view.holding = value && mode() === "edit"; };
byId("undo").addEventListener("click", () => step("undo"));
byId("redo").addEventListener("click", () => step("redo"));
byId("history-open").addEventListener("click", () => {
  showSteps();
  byId("history").showModal();
});
byId("compare").addEventListener("click", compare);
byId("side-by-side").addEventListener("click", () => setSideBySide(!view.sideBySide));
byId("morph-mode").addEventListener("click", () => enter(mode() === "morph" ? "edit" : "morph"));
byId("download").addEventListener("click", download);
byId("export-open").addEventListener("click", () => keep("openSheet"));
byId("new-photo").addEventListener("click", () => {
  enter("start");
  byId("choose").focus();
});
byId("start-back").addEventListener("click", () => enter("edit"));
const sample = async (options) => demo.take() ?? api.addSample(options);
byId("sample").addEventListener("click", () => open([{ name: t("samplePortrait"), make: sample }]));
const random = () => {
  const seed = Math.floor(Math.random() * 2 ** 32);
  open([{ name: t("randomFace"), make: (options) => api.addRandomFace(seed, options) }]);
};
byId("random").addEventListener("click", random);
byId("morph-random").addEventListener("click", random);
byId("morph-choose").addEventListener("click", () => byId("file").click());
byId("progress-cancel").addEventListener("click", () => {
  opening?.abort();
  opening = null;
  document.body.classList.remove("opening");
  byId("progress").hidden = true;
  announce(t("cancelled"));
});
byId("camera-open").addEventListener("click", async () => (await import("./camera.js")).openCamera(take));

const zoomToFace = () => {
  if (mode() !== "edit") return;
  const { box } = editing.photo.faces[editing.face];
  if (view.partOf(box) > 0.6 && view.sees(view.interest) && !view.isFitted) view.fit();
  else view.showBox(box, 0.65);
};
byId("zoom-in").addEventListener("click", () => view.zoomIn(1.4));
byId("zoom-out").addEventListener("click", () => view.zoomIn(1 / 1.4));
byId("zoom-fit").addEventListener("click", () => view.fit());
byId("zoom-face").addEventListener("click", zoomToFace);
byId("protect").addEventListener("click", () => protect(byId("protect").getAttribute("aria-pressed") !== "true"));
byId("brush-done").addEventListener("click", () => {
  protect(false);
  byId("protect").focus();
});
byId("zoom-level").addEventListener("click", () => view.actualSize());
view.addEventListener("view", () => { byId("zoom-level").textContent = `${Math.round(view.percent)} %`; });
view.addEventListener("hold", ({ detail }) => hold(detail.holding));

byId("where").textContent = ["localhost", "127.0.0.1", "[::1]"].includes(location.hostname) ? t("staysHere")
  : t("staysThere", { host: location.hostname });
byId("language").replaceChildren(...languages.map((code) => make("option", { value: code, selected: code === language },
  new Intl.DisplayNames([code], { type: "language" }).of(code))));
byId("language").addEventListener("change", () => {
  useLanguage(byId("language").value);
  location.reload();
});

setUpDivider(view, byId("viewport"), byId("divider"));
setUpFiles(take);
setUpPrompt(editing, { describe: (edit) => panel.describe(edit), announce, fail });
setUpShortcuts({
  undo: () => step("undo"),
  redo: () => step("redo"),
  compare,
  hold,
  zoom: (factor) => view.zoomIn(factor),
  fit: () => view.fit(),
  actual: () => view.actualSize(),
  face: zoomToFace,
  protect: () => byId("protect").click(),
  leave: () => protect(false),
  search: () => byId("search").focus(),
  prompt: () => byId("prompt").focus(),
  choose: () => byId("file").click(),
  download,
  copy: () => keep("copyPicture"),
});

// --- Begin

async function begin() {
  try {
    list = await api.attributes();
    preview.largest = list.limits.previewSize;
    panel.build(list);
    looks.build(list.looks, (edit) => panel.takes(edit));
    if (linked.length > 0) byId("start-lead").textContent = t("linkWaits", { edits: linked.map((edit) => panel.describe(edit)).join(", ") });
    const { present, lost } = editing.photo ? {} : await tray.restore();
    if (present) show(present);
    if (lost > 0) note(t("photosGone", { count: lost }));
    if (mode() === "start") await demo.load(list.looks);
  } catch (error) {
    fail(error);
  }
}

document.body.classList.add("ready");
// The page opens without its server from then on. Browsers have that on secure origins alone.
begin().then(() => navigator.serviceWorker?.register("sw.js").catch(() => {}));
