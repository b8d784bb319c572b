// The live stream: keeps a copy of the server's view, and knows how old it is.

const SILENT_MS = 8_000; // the server says something every five seconds at least
const RETRY_MS = 3_000;

/** Applies a delta to a view, as api/deltas.py does. */
export function apply(view, delta) {
  for (const [topic, change] of Object.entries(delta)) {
    const rows = (view[topic] ??= {});
    for (const key of change.gone) delete rows[key];
    Object.assign(rows, change.set);
  }
}

/**
 * Follows `url`; calls `changed()` whenever there is something new to show, `lost()` whenever the stream
 * breaks: the session may be over.
 */
export function follow(url, changed, lost) {
  const live = {
    view: null,
    databaseDown: false,
    connected: false,
    heardAt: performance.now(), // when the data was last known to be current
    clock: null,
    /** The installation's present; its clock may be simulated, and run faster. */
    now() {
      if (!this.clock) return Date.now();
      return this.clock.nowMs + (performance.now() - this.clock.at) * this.clock.factor;
    },
    age_s() {
      return Math.floor((performance.now() - this.heardAt) / 1_000);
    },
    state() {
      if (!this.connected) return this.view || this.everTried ? "offline" : "connecting";
      if (this.databaseDown) return "databaseDown";
      if (!this.view) return "connecting";
      return performance.now() - this.heardAt > SILENT_MS ? "stale" : "live";
    },
    everTried: false,
  };

  function heard(event) {
    const message = JSON.parse(event.data);
    const at = performance.now();
    live.clock = { nowMs: message.now_ms, at, factor: message.clock_factor };
    live.connected = true;
    return message.data;
  }
  function current() {
    live.heardAt = performance.now();
    live.databaseDown = false;
  }

  function open() {
    const source = new EventSource(url);
    source.addEventListener("open", () => {
      live.connected = true;
      changed();
    });
    source.addEventListener("snapshot", (event) => {
      live.view = heard(event);
      current();
      changed();
    });
    source.addEventListener("delta", (event) => {
      apply(live.view, heard(event));
      current();
      changed();
    });
    source.addEventListener("status", (event) => {
      if (heard(event).state === "live") current();
      else live.databaseDown = true;
      changed();
    });
    source.addEventListener("error", () => {
      live.connected = false;
      live.everTried = true;
      changed();
      lost();
      // The browser reconnects by itself unless the server refused; then it gives up, we do not.
      if (source.readyState === EventSource.CLOSED) setTimeout(open, RETRY_MS * (1 + Math.random()));
    });
  }
  open();
  return live;
}
