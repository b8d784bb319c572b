// Numbers, times and places as the reader's language writes them. Times are shown where the work is:
// in the installation's time zone, whatever the browser's.

import { locale, t } from "./i18n.js";

export const NONE = "–";

let zone = "Europe/Paris";
let formats = make();

/** Sets the installation's time zone, as GET /v1/session tells it. */
export function setZone(name) {
  if (name === zone) return;
  zone = name;
  formats = make();
}

function make() {
  const of = (options) => new Intl.DateTimeFormat(locale, { timeZone: zone, ...options });
  return {
    hourMinute: of({ hour: "2-digit", minute: "2-digit", hourCycle: "h23" }),
    hourMinuteSecond: of({ hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" }),
    dayMonth: of({ day: "numeric", month: "short" }),
    weekday: of({ weekday: "short", day: "numeric", month: "short" }),
    full: of({ weekday: "long", day: "numeric", month: "long", year: "numeric" }),
    iso: new Intl.DateTimeFormat("en-CA", { timeZone: zone }),
  };
}

const integer = new Intl.NumberFormat(locale, { maximumFractionDigits: 0 });
const oneDecimal = new Intl.NumberFormat(locale, { maximumFractionDigits: 1 });
const isNone = (value) => value === null || value === undefined;

/** HH:MM, with the day before it if that is not the day of `now`. */
export function time(ms, now) {
  if (isNone(ms)) return NONE;
  const clock = formats.hourMinute.format(ms);
  return isoDay(ms) === isoDay(now) ? clock : `${formats.dayMonth.format(ms)}, ${clock}`;
}

/** From one HH:MM to another; once if they are the same. */
export function range(fromMs, toMs, now) {
  const [from, to] = [time(fromMs, now), time(toMs, now)];
  return from === to ? from : `${from} – ${to}`;
}

/** HH:MM if it is today, else the day alone. */
export const day = (ms, now) =>
  isNone(ms) ? NONE : isoDay(ms) === isoDay(now) ? formats.hourMinute.format(ms) : formats.dayMonth.format(ms);

/** 2026-11-26, where the work is: what the API's dates are. */
export const isoDay = (ms) => formats.iso.format(ms);

export const timeOfDay = (ms) => formats.hourMinuteSecond.format(ms);
export const longDay = (ms) => formats.weekday.format(ms);
export const fullDay = (ms) => formats.full.format(ms);
export const count = (n) => (isNone(n) ? NONE : integer.format(n));
export const rate = (n) => (n >= 100 ? integer : oneDecimal).format(n);
export const percent = (share) =>
  new Intl.NumberFormat(locale, { style: "percent", maximumFractionDigits: 1 }).format(share);

/** Whole seconds, minutes, hours or days: what one can read at a glance. */
export function duration(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const minutes = Math.floor(whole / 60);
  const hours = Math.floor(minutes / 60);
  if (whole < 60) return t("{n} s", { n: whole });
  if (minutes < 60) return t("{n} min", { n: minutes });
  if (hours < 48) return t("{h} h {min}", { h: hours, min: String(minutes % 60).padStart(2, "0") });
  return t("{d} d {h} h", { d: Math.floor(hours / 24), h: hours % 24 });
}

/** A span that may be short: milliseconds, from one second on in seconds. */
export const span = (ms) =>
  ms < 1_000 ? t("{n} ms", { n: integer.format(ms) }) : t("{n} s", { n: integer.format(ms / 1_000) });

/** Minutes with their sign, as a lateness is told. */
export const signedMinutes = (n) =>
  `${n < 0 ? "−" : "+"}${t("{n} min", { n: integer.format(Math.abs(n)) })}`;

export const place = (fix) => `${fix.latitude_deg.toFixed(3)},\u00a0${fix.longitude_deg.toFixed(3)}`;
export const kmh = (mps) => (isNone(mps) ? NONE : integer.format(mps * 3.6));

/** Who an account is: `user:ana` is ana; null for nobody. */
export const nameOf = (account) => account?.replace(/^(user|machine|said):/, "") ?? null;
