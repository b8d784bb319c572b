// What a part shows is looked up again while it is on the page and somebody looks at the page.

const isSeen = () => document.visibilityState === "visible";

/**
 * Calls `ask` when its part comes onto the page, then every so many milliseconds, and when the page is shown
 * again after it was hidden; never meanwhile. `first: false` for what asks by itself in the beginning.
 */
export class Again {
  constructor(host, every_ms, ask, { first = true } = {}) {
    Object.assign(this, { every_ms, ask, first });
    host.addController(this);
  }

  look = () => isSeen() && this.ask();

  hostConnected() {
    if (this.first) this.ask();
    this.ticking = setInterval(this.look, this.every_ms);
    document.addEventListener("visibilitychange", this.look);
  }

  hostDisconnected() {
    clearInterval(this.ticking);
    document.removeEventListener("visibilitychange", this.look);
  }
}
