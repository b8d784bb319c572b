// What the technician has set on this device; kept in the browser, told nobody.

const KEPT = "cordee.van.preferences";
const DEFAULTS = {
  /** The character that the scanner types where GS1 codes have their separator. */
  separator: "~",
  /** With what stops are shown on a map. */
  map: "geo",
  /** Whether this device sends where it is, while on duty and looked at. */
  positions: false,
  sound: true,
  vibration: true,
};

export const preferences = () => ({ ...DEFAULTS, ...JSON.parse(localStorage.getItem(KEPT) ?? "{}") });

export const prefer = (name, value) => localStorage.setItem(KEPT, JSON.stringify({ ...preferences(), [name]: value }));
