// Other ways to keep the result: format, quality and size, the clipboard, sharing, a link, a command, all photos.

import * as api from "./api.js";
import { changes } from "./document.js";
import { byId, icon, make, save } from "./dom.js";
import { announce, note } from "./notices.js";
import { t } from "./texts.js";
import { zip } from "./zip.js";

const lossy = new Set(["jpeg", "webp", "heic", "avif"]);

/** Opens the sheet for the photo on the stage. */
export function openSheet(studio) {
  const { editing, tray, limits } = studio;
  const { photo } = editing;
  const dialog = byId("export");
  const format = make("select", { id: "export-format" },
    make("option", { value: "" }, t("formatOwn", { format: photo.format.toUpperCase() })),
    ...["jpeg", "png", "webp", "avif", "heic", "tiff"].filter((name) => name !== photo.format)
      .map((name) => make("option", { value: name }, name.toUpperCase())));
  const quality = make("input", { class: "range plain", type: "range", min: 40, max: 100, value: 92, id: "export-quality" });
  const ownQuality = make("input", { type: "checkbox", checked: true });
  const longest = Math.max(photo.width, photo.height);
  const size = make("select", { id: "export-size" },
    make("option", { value: "" }, t("sizeFull", { width: photo.width, height: photo.height })),
    ...[4096, 2048, 1024, 512].filter((side) => side < longest).map((side) => make("option", { value: side }, t("sizeSide", { side }))));
  const place = make("input", { type: "checkbox" });
  const all = make("input", { type: "checkbox" });
  const command = make("code", {}, commandOf(studio));
  const showQuality = () => {
    const name = format.value || photo.format;
    qualityField.hidden = !lossy.has(name);
    quality.disabled = ownQuality.checked;
    quality.style.setProperty("--high", `${(quality.value - 40) / 0.6}%`);
    qualityText.textContent = ownQuality.checked ? "" : quality.value;
  };
  const qualityText = make("output", {});
  const qualityField = make("div", { class: "field quality" },
    make("label", { for: "export-quality" }, t("quality")), quality, qualityText,
    make("label", { class: "check" }, ownQuality, make("span", {}, t("qualityOwn"))));
  for (const [element, type] of [[format, "change"], [quality, "input"], [ownQuality, "change"]]) element.addEventListener(type, showQuality);

  const options = () => ({
    ...(format.value && { format: format.value }),
    ...(!ownQuality.checked && lossy.has(format.value || photo.format) && { quality: Number(quality.value) }),
    ...(size.value && { size: Number(size.value) }),
    ...(place.checked && { keepLocation: true }),
  });
  const button = (key, name, work, kind = "secondary") => make("button", {
    class: kind, type: "button", id: `export-${key}`, onclick: async (event) => {
      const own = event.currentTarget;
      own.disabled = true;
      try {
        await work();
      } catch (error) {
        dialog.close();
        studio.fail(error);
      } finally {
        own.disabled = false;
      }
    },
  }, icon(name), make("span", {}, t(key)));

  dialog.replaceChildren(
    make("h2", { id: "export-title" }, t("exportTitle")),
    make("div", { class: "fields" },
      make("label", { class: "field" }, make("span", {}, t("format")), format),
      make("label", { class: "field" }, make("span", {}, t("size")), size),
      qualityField,
      make("label", { class: "check" }, place, make("span", {}, t("keepPlace")))),
    make("p", { class: "quiet", id: "export-says" }, t("exportSays")),
    make("div", { class: "ways" },
      button("savePhoto", "download", async () => {
        const { blob, name } = await api.render(photo.id, { ...(await wanted(editing)), ...options() });
        dialog.close();
        studio.saved(blob, `${studio.stem(photo.name)}-edited${studio.extension(name)}`);
        tray.markSaved();
      }, "primary"),
      button("copyPicture", "copy", () => copyPicture(studio)),
      navigator.canShare && button("share", "swap", () => share(studio, options())),
      button("copyLink", "copy", () => copyText(linkOf(studio), "linkCopied"))),
    ...(tray.items.length > 1 ? [make("fieldset", { class: "all-photos" },
      make("legend", {}, t("allPhotos", { count: tray.items.length })),
      make("label", { class: "check" }, all, make("span", {}, t("sameForAll"))),
      make("div", { class: "ways" },
        window.showDirectoryPicker && button("saveFolder", "download", () => saveToFolder(studio, options(), all.checked)),
        button("saveZip", "download", () => saveZip(studio, options(), all.checked))))] : []),
    make("fieldset", { class: "animation" }, make("legend", {}, t("beforeAfter")),
      make("div", { class: "ways" }, ...limits.animations.map((kind) => button(`format-${kind}`, "play", async () => {
        const blob = await api.animation(photo.id, { ...(await wanted(editing)), format: kind, size: 640 });
        studio.saved(blob, `${studio.stem(photo.name)}-before-after.${kind}`);
      })))),
    make("div", { class: "command" }, make("p", { class: "quiet" }, t("asCommand")), command,
      make("div", { class: "ways" },
        button("copyCommand", "copy", () => copyText(command.textContent, "commandCopied")),
        editing.strokes.length > 0 ? button("saveMask", "download", () => saveMask(studio)) : null)),
    make("div", { class: "sheet-actions" }, make("button", { class: "secondary", type: "button", onclick: () => dialog.close() }, t("close"))));
  showQuality();
  dialog.showModal();
}

/** What is asked for of the photo on the stage. */
const wanted = ({ photo, edits, strokes }) => changes(photo, edits, strokes);

/** Puts the edited picture on the clipboard. */
export async function copyPicture({ editing }) {
  if (!navigator.clipboard?.write) return note(t("copyNeedsHttps"));
  // The clipboard wants to be asked at once.
  const blob = wanted(editing).then((request) => api.render(editing.photo.id, { ...request, format: "png" })).then((made) => made.blob);
  await navigator.clipboard.write([new ClipboardItem({ "image/png": blob })]);
  note(t("pictureCopied"), { calm: true });
}

async function share({ editing, stem, extension }, options) {
  const { blob, name } = await api.render(editing.photo.id, { ...(await wanted(editing)), ...options });
  const file = new File([blob], `${stem(editing.photo.name)}-edited${extension(name)}`, { type: blob.type });
  if (!navigator.canShare({ files: [file] })) return note(t("cannotShare"));
  await navigator.share({ files: [file] }).catch((error) => { if (!api.isAborted(error)) throw error; });
}

/** Copies a text; where the browser gives the page no clipboard, by the old way. */
async function copyText(text, told) {
  if (navigator.clipboard?.writeText) {
    await navigator.clipboard.writeText(text);
  } else {
    const field = make("textarea", { readonly: true }, text);
    byId("export").append(field);
    field.select();
    document.execCommand("copy");
    field.remove();
  }
  announce(t(told));
  note(t(told), { calm: true });
}

/** An address that brings the selected face's edits to another photo. */
function linkOf({ editing }) {
  const edits = editing.editsOf(editing.face)
    .map(({ attribute, strength, style }) => [attribute, round(strength), ...style ? [encodeURIComponent(style)] : []].join(":"));
  return `${location.origin}${location.pathname}#edit=${edits.join(",")}`;
}

const maskName = (photo, stem) => `${stem(photo.name)}-kept.png`;

/** Saves the region that the brush keeps, for the command. */
async function saveMask({ editing: { photo, strokes }, stem }) {
  const { maskOf } = await import("./brush.js");
  const bytes = Uint8Array.from(atob(maskOf(photo, strokes)), (letter) => letter.charCodeAt(0));
  save(new Blob([bytes], { type: "image/png" }), maskName(photo, stem));
}

/** The same edits as commands of the program, one for each face. */
function commandOf({ editing, stem }) {
  const { photo, edits, strokes } = editing;
  const quote = (text) => (/^[\w.=:-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);
  const ending = photo.format === "jpeg" ? "jpg" : photo.format;
  const output = quote(`${stem(photo.name)}-edited.${ending}`);
  const edited = [...new Set(edits.map((edit) => edit.face))];
  return edited.map((face, index) => {
    const attributes = edits.filter((edit) => edit.face === face).map(({ attribute, strength, style }) => {
      const amount = style && strength === 1 ? style : style ? `${style}:${round(strength)}` : round(strength);
      return ` --attribute ${quote(`${attribute}=${amount}`)}`;
    });
    const choice = (photo.faces.length > 1 ? ` --face ${face + 1}` : "") + (strokes.length > 0 ? ` --protect ${quote(maskName(photo, stem))}` : "");
    return `facet edit ${index === 0 ? quote(photo.name) : output}${attributes.join("")}${choice} -o ${output}${index === 0 ? "" : " --force"}`;
  }).join(" && ") || "facet edit";
}

const round = (value) => Math.round(value * 100) / 100;

/**
 * Makes all photos, one after the other, and gives each with a name of its own to `keep`; `same` brings the selected
 * face's edits to every face of every photo.
 */
async function makeAll({ editing, tray, stem, extension }, options, same, keep) {
  const look = editing.editsOf(editing.face);
  const names = new Set();
  for (const [index, item] of tray.items.entries()) {
    announce(t("photoOf", { number: index + 1, count: tray.items.length }));
    const edits = same ? item.photo.faces.flatMap((_, face) => look.map((edit) => ({ ...edit, face }))) : tray.edits(item);
    const request = { ...(await changes(item.photo, edits, tray.strokes(item))), ...options };
    const { blob, name } = await api.render(item.photo.id, request);
    const file = freeName(`${stem(item.photo.name)}-edited`, extension(name), (wanted) => names.has(wanted));
    names.add(file);
    await keep(file, blob);
    if (!same || item === tray.present) tray.markSaved(item);
  }
}

/** A name that is not taken: with a number where it must be. */
function freeName(start, end, isTaken) {
  for (let copy = 1; ; copy += 1) {
    const name = copy === 1 ? `${start}${end}` : `${start}-${copy}${end}`;
    if (!isTaken(name)) return name;
  }
}

/** All photos as one ZIP file. */
async function saveZip(studio, options, same) {
  const files = [];
  await makeAll(studio, options, same, async (name, blob) => files.push({ name, data: new Uint8Array(await blob.arrayBuffer()) }));
  byId("export").close();
  save(new Blob(zip(files), { type: "application/zip" }), "facet-photos.zip");
  note(t("savedAs", { name: "facet-photos.zip" }), { calm: true });
}

/** All photos into a folder of the user's; files that are there stay. */
async function saveToFolder(studio, options, same) {
  let folder;
  try {
    folder = await window.showDirectoryPicker({ id: "facet", mode: "readwrite" });
  } catch (error) {
    if (api.isAborted(error)) return; // no folder was chosen
    throw error;
  }
  const taken = new Set();
  for await (const name of folder.keys()) taken.add(name.toLowerCase());
  let count = 0;
  await makeAll(studio, options, same, async (wanted, blob) => {
    const dot = wanted.lastIndexOf(".");
    const name = freeName(wanted.slice(0, dot), wanted.slice(dot), (one) => taken.has(one.toLowerCase()));
    taken.add(name.toLowerCase());
    const file = await (await folder.getFileHandle(name, { create: true })).createWritable();
    // Whole or not at all: it takes the file's place when it is closed.
    await file.write(blob);
    await file.close();
    count += 1;
  });
  byId("export").close();
  note(t("savedInto", { count, name: folder.name }), { calm: true });
}
