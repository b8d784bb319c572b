// The page as an app of the device: keeps the service worker new, asks that what is stored may stay, and
// offers to be installed. Browsers allow all this by https, and on this machine itself; not by plain http
// from elsewhere, and then the page says so.

const CHECK_MS = 30 * 60_000;

/** What the page should tell of itself as an app. Sends `changed`; `ready` when the first worker has come. */
export class Installed extends EventTarget {
  /** Whether the page can work offline and use the camera at all. */
  possible = "serviceWorker" in navigator && isSecureContext;
  /** Whether it would open without a network now. */
  ready = false;
  /** Whether a newer version waits for `update()`. */
  newer = false;
  /** Whether the browser lets us offer the installation. */
  offer = null;
  #registration = null;

  async start() {
    addEventListener("beforeinstallprompt", (event) => {
      event.preventDefault();
      this.#set({ offer: event });
    });
    addEventListener("appinstalled", () => this.#set({ offer: null }));
    navigator.storage?.persist?.();
    if (!this.possible) return;
    let isFirst = !navigator.serviceWorker.controller; // it takes over without a word
    navigator.serviceWorker.addEventListener("controllerchange", () => {
      if (!isFirst) return location.reload();
      isFirst = false;
      this.#set({ ready: true });
      return this.dispatchEvent(new Event("ready"));
    });
    this.#set({ ready: Boolean(navigator.serviceWorker.controller) });
    this.#registration = await navigator.serviceWorker.register("sw.js", { updateViaCache: "none" });
    if (this.#registration.waiting) this.update(); // nothing is begun yet: no need to ask
    this.#registration.addEventListener("updatefound", () => this.#watch(this.#registration.installing));
    this.#watch(this.#registration.installing);
    const check = () => navigator.onLine && this.#registration.update().catch(() => {});
    setInterval(check, CHECK_MS);
    document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && check());
  }

  /** Lets the newer version take over; the page is then loaded anew. */
  update() {
    this.#registration.waiting?.postMessage("take over");
  }

  async install() {
    await this.offer.prompt();
    this.#set({ offer: null });
  }

  #watch(worker) {
    worker?.addEventListener("statechange", () => {
      if (worker.state === "installed" && navigator.serviceWorker.controller) this.#set({ newer: true });
    });
  }

  #set(changes) {
    Object.assign(this, changes);
    this.dispatchEvent(new Event("changed"));
  }
}
