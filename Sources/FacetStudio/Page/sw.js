// Keeps the page's files, so that the page opens where its server is away, and says so. A server that answers is always
// asked first.

const name = "facet-page";
const patience = 3000; // milliseconds for a server that hangs
const files = [
  "./", "api.js", "brush.js", "camera.js", "compare.js", "connection.js", "document.js", "dom.js", "export.js", "faces.js",
  "history.js", "icon.svg", "latest.js", "looks.js", "main.js", "manifest.webmanifest", "morph.js", "notices.js", "panel.js",
  "preview.js", "prompt.js", "row.js", "shortcuts.js", "spectrum.js", "start.js", "studio.css", "texts.js", "texts/en.json",
  "texts/es.json", "tray.js", "view.js", "zip.js",
];
const known = new Set(files.map((file) => new URL(file, registration.scope).href));

addEventListener("install", (event) => {
  skipWaiting();
  // Previews take no way round through here, where browsers can be told so.
  const direct = ["api/*", "health"].map((path) => ({
    condition: { urlPattern: { pathname: new URL(path, registration.scope).pathname } }, source: "network",
  }));
  event.waitUntil(Promise.resolve(event.addRoutes?.(direct)).catch(() => {}));
  event.waitUntil(caches.open(name).then((cache) => cache.addAll(files)));
});

addEventListener("fetch", (event) => {
  const address = event.request.url.split(/[?#]/)[0];
  if (event.request.method === "GET" && known.has(address)) event.respondWith(answer(event, address));
});

async function answer(event, address) {
  const cache = await caches.open(name);
  const network = fetch(event.request);
  const late = new Promise((_, reject) => { setTimeout(reject, patience, new Error("late")); });
  try {
    const response = await Promise.race([network, late]);
    if (response.ok) event.waitUntil(cache.put(address, response.clone()));
    return response;
  } catch {
    return (await cache.match(address)) ?? network;
  }
}
