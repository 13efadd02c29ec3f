// The server's HTTP interface, as openapi.yaml describes it.

/** A fault that the server reports. `name` of its type, such as "no-face"; `retryAfter` in seconds. */
export class Problem extends Error {
  constructor(body, response) {
    super(body.detail || body.title || `The server answered ${response.status}.`);
    this.status = response.status;
    this.type = String(body.type ?? "").split(":").at(-1);
    this.retryAfter = Number(response.headers.get("Retry-After")) || 1;
  }
}

/** The server does not answer. */
export class Unreachable extends Error {
  constructor() { super("The studio’s server does not answer."); }
}

/** Whether an error only says that a request was given up. */
export const isAborted = (error) => error?.name === "AbortError";

const longestWait = 60_000;

// A token comes in the address's fragment, which browsers don't send, and is kept for this tab.
const fromAddress = new URLSearchParams(location.hash.slice(1)).get("token");
if (fromAddress) {
  sessionStorage.setItem("facet-token", fromAddress);
  history.replaceState(null, "", location.pathname);
}
export function useToken(token) { sessionStorage.setItem("facet-token", token); }

function authorization() {
  const token = sessionStorage.getItem("facet-token");
  return token ? { Authorization: `Bearer ${token}` } : {};
}

async function send(method, path, { body, json, signal } = {}) {
  const headers = authorization();
  if (json) headers["Content-Type"] = "application/json";
  else if (body) headers["Content-Type"] = body.type || "application/octet-stream";
  const timeout = AbortSignal.timeout(longestWait);
  try {
    const response = await fetch(path, {
      method, headers, body: json ? JSON.stringify(json) : body, cache: "no-store",
      signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
    });
    if (response.ok) return response;
    throw new Problem(await response.json().catch(() => ({})), response);
  } catch (error) {
    if (error instanceof Problem || isAborted(error)) throw error;
    throw new Unreachable();
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

export const attributes = () => json("GET", "/api/attributes");
export const health = () => json("GET", "/health");

export const addPhoto = (file, signal) => json("POST", "/api/photos", { body: file, signal });
export const addSample = () => json("POST", "/api/photos/sample");
export const addRandomFace = (seed) => json("POST", "/api/photos/random", { json: { seed } });
export const getPhoto = (id) => json("GET", `/api/photos/${id}`);
export const removePhoto = (id) => send("DELETE", `/api/photos/${id}`);
/** Removes a photo while the page goes away. */
export const forget = (id) =>
  fetch(`/api/photos/${id}`, { method: "DELETE", headers: authorization(), keepalive: true }).catch(() => {});
export const picture = (id, size, signal) => blob("GET", `/api/photos/${id}/picture?size=${size}`, { signal });

/** The edited photo, or a region of it: `{ blob, server }` with the server's milliseconds. */
export async function preview(id, request, signal) {
  const response = await send("POST", `/api/photos/${id}/preview`, { json: request, signal });
  return { blob: await read(response, "blob"), server: serverTime(response) };
}

/** The photo at its own resolution: `{ blob, name }`. */
export async function render(id, request) {
  const response = await send("POST", `/api/photos/${id}/render`, { json: request });
  const name = response.headers.get("Content-Disposition")?.match(/filename="?([^";]+)/)?.[1] ?? "photo.jpg";
  return { blob: await read(response, "blob"), name };
}

/** A strip of tiles: `{ blob, strengths }`. */
export async function spectrum(id, request, signal) {
  const response = await send("POST", `/api/photos/${id}/spectrum`, { json: request, signal });
  const strengths = response.headers.get("Facet-Strengths").split(",").map(Number);
  return { blob: await read(response, "blob"), strengths };
}

export const inspect = (id, request, signal) => json("POST", `/api/photos/${id}/inspect`, { json: request, signal });
export const morph = (request, signal) => blob("POST", "/api/morph", { json: request, signal });
