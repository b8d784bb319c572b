// What a part shows is looked up again while it is on the page and somebody looks at the page. What cannot be
// read again stays as it was, with how old it is and why: an old list is worth more than none.

import { html, nothing } from "./lit.js";
import { t } from "./i18n.js";
import { status } from "./status.js";

const isSeen = () => document.visibilityState === "visible";

/**
 * Calls `ask`, which may throw a Problem, when its part comes onto the page, then every so many milliseconds, and
 * when the page is shown again after it was hidden; never meanwhile. `first: false` for what asks by itself in the
 * beginning.
 */
export class Again {
  problem = "";
  /** When it was read last, by performance.now(). */
  readAt = null;

  constructor(host, every_ms, ask, { first = true } = {}) {
    Object.assign(this, { host, every_ms, ask, first });
    host.addController(this);
  }

  /** Asks at once, and knows afterwards whether what is shown is current. */
  async now() {
    try {
      await this.ask();
      Object.assign(this, { problem: "", readAt: performance.now() });
    } catch (problem) {
      this.problem = problem.message;
    }
    this.host.requestUpdate();
  }

  /** What could not be read and how old what is shown is therefore; nothing while all is well. */
  said() {
    return notRead(this.problem, this.readAt);
  }

  look = () => isSeen() && this.now();

  hostConnected() {
    if (this.first) this.now();
    this.ticking = setInterval(this.look, this.every_ms);
    this.aging = setInterval(() => this.problem && this.host.requestUpdate(), 1_000);
    document.addEventListener("visibilitychange", this.look);
  }

  hostDisconnected() {
    clearInterval(this.ticking);
    clearInterval(this.aging);
    document.removeEventListener("visibilitychange", this.look);
  }
}

/** Why something could not be read again, said once, and how old it is, counted; `readAt` null if there is none yet. */
export const notRead = (problem, readAt) => problem
  ? html`<p class="problem">${readAt === null ? nothing : status("stale", { said: t("stale {n} s", { n: Math.floor((performance.now() - readAt) / 1_000) }) })}
      <span role="alert">${problem}</span></p>`
  : nothing;
