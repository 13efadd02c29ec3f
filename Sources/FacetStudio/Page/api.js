// The server's HTTP interface, as openapi.yaml describes it.

import { language, t } from "./texts.js";

/** A fault that the server reports. `name` of its type, such as "no-face"; `retryAfter` in seconds. */
export class Problem extends Error {
  constructor(body, status, retryAfter) {
    super(body.detail || body.title || t("serverAnswered", { status }));
    this.status = status;
    this.type = String(body.type ?? "").split(":").at(-1);
    this.retryAfter = Number(retryAfter) || 1;
  }
}

/** The server does not answer. */
export class Unreachable extends Error {
  constructor() { super(t("noAnswer")); }
}

/** Whether an error only says that a request was given up. */
export const isAborted = (error) => error?.name === "AbortError";

const longestWait = 60_000;
const healthWait = 2200;
/** After so many milliseconds without an answer it is asked whether the server is there at all. */
const slow = 2000;
/** An upload of which nothing moves for so long is given up. */
const longestSilence = 30_000;

/** Called where an answer is late. */
export const watch = { late: () => {} };

// A token comes in the address's fragment, which browsers don't send, and is kept for this tab.
const fragment = new URLSearchParams(location.hash.slice(1));
if (fragment.has("token")) {
  useToken(fragment.get("token"));
  fragment.delete("token");
  history.replaceState(null, "", location.pathname + (fragment.size > 0 ? `#${fragment}` : ""));
}
export function useToken(token) { sessionStorage.setItem("facet-token", token); }
export const hasToken = () => sessionStorage.getItem("facet-token") !== null;

function authorization() {
  const token = sessionStorage.getItem("facet-token");
  return token ? { Authorization: `Bearer ${token}` } : {};
}

async function send(method, path, { body, json, signal, wait = longestWait } = {}) {
  const headers = authorization();
  if (json) headers["Content-Type"] = "application/json";
  else if (body) headers["Content-Type"] = body.type || "application/octet-stream";
  const timeout = AbortSignal.timeout(wait);
  const late = wait > healthWait ? setTimeout(() => watch.late(), slow) : null;
  try {
    const response = await fetch(path, {
      method, headers, body: json ? JSON.stringify(json) : body, cache: "no-store",
      signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
    });
    if (response.ok) return response;
    throw new Problem(await response.json().catch(() => ({})), response.status, response.headers.get("Retry-After"));
  } catch (error) {
    if (error instanceof Problem || isAborted(error)) throw error;
    throw new Unreachable();
  } finally {
    clearTimeout(late);
  }
}

/** The body of an answer; a connection that breaks meanwhile is the server's absence, too. */
async function read(response, kind) {
  try {
    return await response[kind]();
  } catch (error) {
    if (isAborted(error)) throw error;
    throw new Unreachable();
  }
}

const json = async (...call) => read(await send(...call), "json");
const blob = async (...call) => read(await send(...call), "blob");

/** The server's own time for an answer in milliseconds: the sum of the parts that it states. */
function serverTime(response) {
  const parts = (response.headers.get("Server-Timing") ?? "").matchAll(/dur=([\d.]+)/g);
  return [...parts].reduce((sum, [, part]) => sum + Number(part), 0);
}

export const attributes = () => json("GET", `api/attributes?language=${language}`);
export const health = () => json("GET", "health", { wait: healthWait });
export const understand = (text, signal) =>
  json("GET", `api/understand?language=${language}&text=${encodeURIComponent(text)}`, { signal });

/**
 * Sends a photo. `progress` is told the part that has gone, 0 … 1. It ends on silence, and takes as long as it needs
 * otherwise.
 */
export function addPhoto(file, { signal, progress } = {}) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    let timer;
    const giveUp = (error) => {
      clearTimeout(timer);
      request.abort();
      reject(error);
    };
    const moved = (wait) => {
      clearTimeout(timer);
      timer = setTimeout(() => giveUp(new Unreachable()), wait);
    };
    request.upload.addEventListener("progress", ({ loaded, total }) => {
      moved(longestSilence);
      progress?.(total ? loaded / total : 0);
    });
    request.upload.addEventListener("load", () => {
      progress?.(1);
      moved(longestWait);
    });
    request.addEventListener("error", () => giveUp(new Unreachable()));
    request.addEventListener("load", () => {
      clearTimeout(timer);
      let body = {};
      try { body = JSON.parse(request.responseText); } catch { /* no JSON: the status says it */ }
      if (request.status === 201) resolve(body);
      else reject(new Problem(body, request.status, request.getResponseHeader("Retry-After")));
    });
    signal?.addEventListener("abort", () => giveUp(new DOMException("given up", "AbortError")));
    request.open("POST", "api/photos");
    for (const [name, value] of Object.entries(authorization())) request.setRequestHeader(name, value);
    request.setRequestHeader("Content-Type", file.type || "application/octet-stream");
    moved(longestSilence);
    request.send(file);
  });
}

export const addSample = ({ signal } = {}) => json("POST", "api/photos/sample", { signal });
export const addRandomFace = (seed, { signal } = {}) => json("POST", "api/photos/random", { json: { seed }, signal });
export const getPhoto = (id) => json("GET", `api/photos/${id}`);
export const removePhoto = (id) => send("DELETE", `api/photos/${id}`).catch(() => {});
/** Removes a photo while the page goes away. */
export const forget = (id) =>
  fetch(`api/photos/${id}`, { method: "DELETE", headers: authorization(), keepalive: true }).catch(() => {});
export const picture = (id, size, signal) => blob("GET", `api/photos/${id}/picture?size=${size}`, { signal });

/** The edited photo, or a region of it: `{ blob, server }` with the server's milliseconds. */
export async function preview(id, request, signal) {
  const response = await send("POST", `api/photos/${id}/preview`, { json: request, signal });
  return { blob: await read(response, "blob"), server: serverTime(response) };
}

/** The photo at its own resolution: `{ blob, name }`. */
export async function render(id, request) {
  const response = await send("POST", `api/photos/${id}/render`, { json: request });
  const name = response.headers.get("Content-Disposition")?.match(/filename="?([^";]+)/)?.[1] ?? "photo.jpg";
  return { blob: await read(response, "blob"), name };
}

/** A strip of square tiles: one face under several lists of `{ attribute, strength }`. */
export const tiles = (id, request, signal) => blob("POST", `api/photos/${id}/tiles`, { json: request, signal });
export const inspect = (id, request, signal) => json("POST", `api/photos/${id}/inspect`, { json: request, signal });
export const animation = (id, request) => blob("POST", `api/photos/${id}/animation`, { json: request });
export const morph = (request, signal) => blob("POST", "api/morph", { json: request, signal });
