// What a component asks the API for: once for each address, and again when it is told to. An answer that
// comes after another address was asked for is dropped.

import { read } from "../base/session.js";

export class Asked {
  #host;
  #ask;
  #abort = null;
  url = null;
  value = null;
  problem = null;
  /** When the value was read, by performance.now(). */
  readAt = null;

  /** `ask` reads an address: `read` of session.js, or askJson where the ETag matters. */
  constructor(host, ask = read) {
    this.#host = host;
    this.#ask = ask;
    host.addController(this);
  }

  hostDisconnected() {
    this.#abort?.abort();
    this.url = null;
  }

  /** Asks for `url` unless that is what was asked last; nothing is asked for null. Returns itself. */
  of(url) {
    if (url !== this.url) {
      Object.assign(this, { url, value: null, problem: null, readAt: null });
      this.again();
    }
    return this;
  }

  async again() {
    this.#abort?.abort();
    this.#abort = new AbortController();
    const { url } = this;
    if (url === null) return;
    try {
      const value = await this.#ask(url, { signal: this.#abort.signal });
      if (url === this.url) Object.assign(this, { value, problem: null, readAt: performance.now() });
    } catch (problem) {
      if (problem.name === "AbortError" || url !== this.url) return;
      this.problem = problem;
    }
    this.#host.requestUpdate();
  }
}
