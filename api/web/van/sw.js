// What lets the tablet's page open and work without a network. It serves the pages under /van/ alone.
//
// *Files*: the server makes precache.js from the files that it serves: each one's path and hash. Browsers
// compare this script and that one byte by byte, so any changed file makes a new worker. It fetches what is
// new, checks every hash, and takes over when the page asks it to; files of one version are never mixed.
//
// *Answers*: what the page must know offline is asked from the server first, and kept. What is kept is
// shown when the server cannot be reached or takes too long, and tells since when it was true. Whoever
// signs out, or is signed out, takes it along.

importScripts("precache.js"); // sets self.PRECACHE = { path: hash }

const FILES = "cordee-van-files";
const ANSWERS = "cordee-van-answers";
const PATIENCE_MS = 4_000;
const SESSION = "/v1/session";
/** What is kept of the API: of oneself, of the own van, and what parts are. */
const KEPT = [
  SESSION, "/v1/me/day", "/v1/me/access-log", "/v1/catalogue", "/v1/messages", "/v1/retention", "/v1/orders",
  "/v1/transfers", "/v1/counts/recounts", "/v1/boxes/unclaimed",
];
const KEPT_OF_VAN = /^\/v1\/vans\/[^/]+\/(stock|tour)$/;

const isKept = (path) => KEPT.includes(path) || KEPT_OF_VAN.test(path);
const fileOf = (path) => (path === "/van/index.html" ? "/van/" : path);
/** Files are kept under path and hash, so that those that have not changed are not fetched again. */
const keyOf = (path) => `${path}?${encodeURIComponent(self.PRECACHE[path])}`;

self.addEventListener("install", (event) => event.waitUntil(fetchFiles()));
self.addEventListener("activate", (event) => event.waitUntil(dropOldFiles().then(() => self.clients.claim())));
self.addEventListener("message", (event) => event.data === "take over" && self.skipWaiting());

async function fetchFiles() {
  const cache = await caches.open(FILES);
  await Promise.all(Object.entries(self.PRECACHE).map(async ([path, integrity]) => {
    if (await cache.match(keyOf(path))) return;
    const answer = await fetch(path, { integrity, cache: "no-cache" });
    if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
    await cache.put(keyOf(path), answer);
  }));
}

async function dropOldFiles() {
  const cache = await caches.open(FILES);
  const current = new Set(Object.keys(self.PRECACHE).map((path) => new URL(keyOf(path), self.location.origin).href));
  for (const request of await cache.keys()) if (!current.has(request.url)) await cache.delete(request);
}

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const { origin, pathname } = new URL(request.url);
  if (origin !== self.location.origin) return;
  if (pathname === SESSION && request.method !== "GET") event.respondWith(changeOfPerson(request));
  else if (request.method !== "GET") return;
  else if (fileOf(pathname) in self.PRECACHE) event.respondWith(file(fileOf(pathname), request));
  else if (isKept(pathname)) event.respondWith(newest(request, pathname));
});

async function file(path, request) {
  const cache = await caches.open(FILES);
  return (await cache.match(keyOf(path))) ?? fetch(request);
}

/** Signs in or out; what was kept is the business of whoever was signed in before. */
async function changeOfPerson(request) {
  const answer = await fetch(request);
  if (answer.ok) await caches.delete(ANSWERS);
  return answer;
}

/** What the server says; if it says nothing in time, what it said last. */
async function newest(request, pathname) {
  const cache = await caches.open(ANSWERS);
  const kept = await cache.match(request.url);
  const asked = fetch(request).then((answer) => remember(cache, request, pathname, answer));
  asked.catch(() => {}); // it is looked at below, or came too late
  const patience = new Promise((resolve) => setTimeout(resolve, PATIENCE_MS, null));
  const answer = await Promise.race([asked, ...(kept ? [patience] : [])]).catch((error) => {
    if (kept) return null;
    throw error;
  });
  return answer ?? kept;
}

async function remember(cache, request, pathname, answer) {
  if (answer.status === 401) await caches.delete(ANSWERS);
  if (answer.status >= 500 && (await cache.match(request.url))) return null;
  if (answer.status === 403 || answer.status === 404) await cache.delete(request.url);
  if (!answer.ok) return answer;
  const body = await answer.clone().arrayBuffer();
  const headers = new Headers(answer.headers);
  headers.set("x-cordee-kept", String(Date.now()));
  await cache.put(request.url, new Response(body, { status: answer.status, headers }));
  return answer;
}
