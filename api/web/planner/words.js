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

/** Why it is so, as far as is known, and what follows. */
export function whyAlert(alert) {
  const words = [alert.kind === "overstayed" && alert.state === "open" ? t("longer than planned") : alert.reason];
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
