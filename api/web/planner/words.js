// What alerts and stops are called, in the reader's language.

import { duration, range, signedMinutes, time } from "../base/format.js";
import { t, tn } from "../base/i18n.js";
import { minutesOf } from "./urgency.js";

/** Causes that messages tell. */
const CAUSES = {
  left_late: () => t("left late"),
  slow_road: () => t("slow road"),
  long_visit: () => t("a long visit"),
  detour: () => t("a detour"),
  silence: () => t("no news of the van"),
};

/** Causes that somebody found out. */
export const FOUND = {
  traffic: () => t("Traffic"),
  client_absent: () => t("Client absent"),
  client_delay: () => t("Client not ready"),
  breakdown: () => t("Breakdown"),
  accident: () => t("Accident"),
  missing_part: () => t("Missing part"),
  job_longer: () => t("Job longer than planned"),
  technician_ill: () => t("Technician ill"),
  plan_wrong: () => t("Plan wrong"),
  other: () => t("Other"),
};

export const found = (cause) => FOUND[cause]?.() ?? cause;
export const stopOf = (stop, site) => t("{stop}. {site}", { stop, site });

/** The stop of an alert; of a silence what was heard last. */
export const aboutAlert = (alert, now) =>
  alert.stop === null
    ? t("last position {time}", { time: time(alert.due_at_ms, now) })
    : stopOf(alert.stop, alert.site_name);

/** What `geofence/alerts.py` says of an alert, by its words; a number in them is {n}. */
const REASONS = {
  "the van had arrived in time; raised on what was known then": () => t("the van had arrived in time; raised on what was known then"),
  "arrived {n} min after the window ended": (n) => t("arrived {n} min after the window ended", { n }),
  "arrived in time": () => t("arrived in time"),
  "the window is not over; raised on what was known then": () => t("the window is not over; raised on what was known then"),
  "nobody came that day": () => t("nobody came that day"),
  "not arrived when the window ended": () => t("not arrived when the window ended"),
  "the van had been there": () => t("the van had been there"),
  "the day is not over": () => t("the day is not over"),
  "the visit was not that long": () => t("the visit was not that long"),
  "{n} min longer than planned": (n) => t("{n} min longer than planned", { n }),
  "the window is over": () => t("the window is over"),
  "expected in time again": () => t("expected in time again"),
  "expected {n} min after the window's end": (n) => t("expected {n} min after the window’s end", { n }),
  "expected {n} min before the window's end: it may be late": (n) => t("expected {n} min before the window’s end: it may be late", { n }),
  "it reports": () => t("it reports"),
  "off duty": () => t("off duty"),
  "no position: whether it is late cannot be known": () => t("no position: whether it is late cannot be known"),
  "it had reported all the time: the messages came late": () => t("it had reported all the time: the messages came late"),
  "back after {n} min": (n) => t("back after {n} min", { n }),
};

function reasonOf({ reason }) {
  const [number = ""] = reason.match(/\d+/) ?? [];
  return REASONS[reason.replace(/\d+/, "{n}")]?.(number) ?? reason;
}

/** Why it is so, as far as is known, and what follows. */
export function whyAlert(alert) {
  const words = [alert.kind === "overstayed" && alert.state === "open" ? t("longer than planned") : reasonOf(alert)];
  if (alert.handling?.cause) words.push(t("cause: {cause}", { cause: found(alert.handling.cause) }));
  else if (alert.cause && (alert.kind === "late" || alert.kind === "at_risk")) {
    words.push(t("cause: {cause}", { cause: CAUSES[alert.cause]?.() ?? alert.cause }));
  }
  if (alert.pushes.length) words.push(tn("then stop {list}", "then stops {list}", alert.pushes.length, { list: alert.pushes.join(", ") }));
  return words.filter(Boolean).join("; ");
}

/** How late, how long over, how long silent; nothing of what nobody did or what never was. */
export function lateness(alert, now) {
  if (alert.state === "withdrawn" || alert.kind === "missed") return "";
  const minutes = minutesOf(alert, now);
  if (minutes === null) return "";
  if (alert.kind === "silent") return duration(minutes * 60);
  return alert.kind === "at_risk" && minutes <= 0 ? t("{n} min to spare", { n: -minutes }) : signedMinutes(minutes);
}

/** The window of a stop. */
export const windowOf = (stop, now) => range(stop.window_start_ms, stop.window_end_ms, now);

/** When a stop is expected; a range, because nobody knows better. */
export const etaOf = (eta, now) => (eta ? range(eta.early_at_ms, eta.late_at_ms, now) : t("no arrival time yet"));
