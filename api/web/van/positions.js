// Where this device is, if the technician has switched that on: while on duty and while the page is in
// sight, into the same outbox as all else. Off duty nothing is asked of the device at all.

import { now } from "./clock.js";
import { preferences } from "./preferences.js";

const EVERY_MS = 10_000;
const OPTIONS = { enableHighAccuracy: true, maximumAge: 5_000, timeout: 60_000 };

/** Follows the device as far as it may; `tablet` keeps what is found. */
export function followDevice(tablet) {
  let watching = null;
  let last = -Infinity;

  const found = ({ coords }) => {
    const at = now();
    if (at - last < EVERY_MS) return;
    last = at;
    tablet.event("position", (t) => position(t, coords));
  };
  const decide = () => {
    const may = preferences().positions && tablet.onDuty === "on" && document.visibilityState === "visible" && "geolocation" in navigator;
    if (may && watching === null) watching = navigator.geolocation.watchPosition(found, () => {}, OPTIONS);
    if (!may && watching !== null) {
      navigator.geolocation.clearWatch(watching);
      watching = null;
    }
  };
  tablet.addEventListener("changed", decide);
  tablet.addEventListener("preferred", decide);
  document.addEventListener("visibilitychange", decide);
  decide();
}

/** A position of the wire contract: what is not known is left out. */
function position(t, { latitude, longitude, accuracy, speed, heading }) {
  const known = { acc_m: accuracy, speed_mps: speed, bearing_deg: heading };
  const told = Object.entries(known).filter(([, value]) => Number.isFinite(value));
  return { t, lat: latitude, lon: longitude, ...Object.fromEntries(told) };
}
