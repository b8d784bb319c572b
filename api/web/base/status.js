// Every state that a page shows: its colour (a class), its shape and its word, always the three.

import { html, nothing } from "./lit.js";
import { t } from "./i18n.js";

/** The shape of each state; the word is asked for when it is shown, in the reader's language. */
const STATES = {
  // of vans
  driving: ["arrow", () => t("driving")],
  standing: ["square", () => t("standing")],
  at_site: ["disc", () => t("at site")],
  silent: ["ring", () => t("silent")],
  off_duty: ["bar", () => t("off duty")],
  on_duty: ["disc", () => t("on duty")],
  never_seen: ["dotted", () => t("never seen")],
  // of stops and visits
  scheduled: ["ring", () => t("scheduled")],
  en_route: ["arrow", () => t("on the way")],
  arrived: ["disc", () => t("arrived")],
  completed: ["check", () => t("completed")],
  skipped: ["cross", () => t("skipped")],
  early: ["disc", () => t("early")],
  on_time: ["disc", () => t("on time")],
  late: ["diamond", () => t("late")],
  at_risk: ["triangle", () => t("at risk")],
  missed: ["cross", () => t("missed")],
  overstayed: ["hourglass", () => t("overstayed")],
  unplanned: ["square", () => t("unplanned")],
  repeated: ["square", () => t("repeated")],
  // of alerts
  open: ["diamond", () => t("open")],
  cleared: ["check", () => t("cleared")],
  withdrawn: ["bar", () => t("withdrawn")],
  // of orders
  proposed: ["dotted", () => t("proposed")],
  approved: ["ring", () => t("approved")],
  sent: ["ring", () => t("sent")],
  picked: ["half", () => t("picked")],
  packed: ["square", () => t("packed")],
  shipped: ["arrow", () => t("shipped")],
  received: ["check", () => t("received")],
  cancelled: ["cross", () => t("cancelled")],
  // of what a tablet has to send, and of what is on board
  waiting: ["hourglass", () => t("waiting")],
  saved: ["check", () => t("saved")],
  refused: ["cross", () => t("refused")],
  on_board: ["check", () => t("on board")],
  // of messages
  unread: ["square", () => t("unread")],
  // of connections
  live: ["disc", () => t("live")],
  connecting: ["ring", () => t("connecting")],
  stale: ["triangle", () => t("stale")],
  offline: ["ring", () => t("offline")],
  online: ["disc", () => t("online")],
};

const SHAPES = new URL("shapes.svg", import.meta.url).pathname;

/** The word of a state alone, for a label that is read out. */
export const word = (state) => STATES[state]?.[1]() ?? state;

/** A shape alone, where its word stands beside it anyway. */
export const shape = (name) =>
  html`<svg class="shape" aria-hidden="true"><use href="${SHAPES}#${name}"></use></svg>`;

/** The name of a state's shape, for what draws itself: the map and the Gantt. */
export const shapeOf = (state) => STATES[state]?.[0] ?? "ring";

/** A status: colour, shape and word. `over` greys what is not so any more; `more` follows the word. */
export const status = (state, { over = false, more = nothing, said = word(state) } = {}) =>
  html`<span class="status ${state} ${over ? "over" : ""}">${shape(shapeOf(state))}<span>${said}${more}</span></span>`;
