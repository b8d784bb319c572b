// Numbers, times and places as text. Times are shown where the work is: in Paris.

import { words } from "./strings.js";

const part = (options) => new Intl.DateTimeFormat(words.locale, { timeZone: words.zone, ...options });
const hourMinute = part({ hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const hourMinuteSecond = part({ hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const dayMonth = part({ day: "numeric", month: "short" });
const weekdayDayMonth = part({ weekday: "short", day: "numeric", month: "short" });
const integer = new Intl.NumberFormat(words.locale, { maximumFractionDigits: 0 });
const oneDecimal = new Intl.NumberFormat(words.locale, { maximumFractionDigits: 1 });

/** HH:MM, with the day before it if that is not the day of `now`. */
export function time(ms, now) {
  if (ms === null || ms === undefined) return words.none;
  const clock = hourMinute.format(ms);
  const day = dayMonth.format(ms);
  return day === dayMonth.format(now) ? clock : `${day}, ${clock}`;
}

/** From one HH:MM to another; once if they are the same. */
export function range(fromMs, toMs, now) {
  const [from, to] = [time(fromMs, now), time(toMs, now)];
  return from === to ? from : words.range(from, to);
}

/** HH:MM if it is today, else the day alone. */
export function day(ms, now) {
  const text = dayMonth.format(ms);
  return text === dayMonth.format(now) ? hourMinute.format(ms) : text;
}

export const timeOfDay = (ms) => hourMinuteSecond.format(ms);
export const longDay = (ms) => weekdayDayMonth.format(ms);
export const count = (n) => integer.format(n);
export const rate = (n) => (n >= 100 ? integer : oneDecimal).format(n);

/** Whole minutes, hours or days: what one can read at a glance. */
export function duration(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const minutes = Math.floor(whole / 60);
  if (whole < 60) return words.seconds(whole);
  if (minutes < 60) return words.minutes(minutes);
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return words.hours(hours, minutes % 60);
  return words.days(Math.floor(hours / 24), hours % 24);
}

/** A span that is short: milliseconds, from one second on in seconds. */
export const span = (ms) => (ms < 1000 ? words.millis(ms) : words.seconds(integer.format(ms / 1000)));

export const place = (fix) => `${fix.latitude_deg.toFixed(3)},\u00a0${fix.longitude_deg.toFixed(3)}`;
export const kmh = (mps) => (mps === null ? words.none : integer.format(mps * 3.6));
