// A scanner that types: tells its keys from a person's, wherever they go.
//
// Scanners type a character every few milliseconds and end with Enter (or Tab); nobody types like that. Keys
// that follow each other without a pause belong together; they are a scan if they are three or more and
// most of them came within 35 ms of each other: a radio may hold one back. What they have typed into a field
// meanwhile is taken out of it again. Three things happen to codes on their way through a keyboard:
//
// - The separator of GS1 codes (0x1D) has no key. Some scanners type Ctrl+], some Alt+029 on the number
//   pad, most nothing: then let the scanner send a visible character instead, and name it in the settings.
// - A scanner set to a US keyboard at a device set to another one: `1` arrives as `&` on AZERTY. Which
//   physical keys were pressed is known too, so both readings are offered; the catalogue decides.
// - Capitals come as Shift and a letter; Shift alone is no character.

const FAST_MS = 35;
const PAUSE_MS = 150;
const LENGTH_MIN = 3;
const LENGTH_MAX = 200;
const SEPARATOR = "\u001d";
const SILENT = new Set(["Shift", "Control", "Alt", "AltGraph", "CapsLock", "NumLock"]);
const ENDS = new Set(["Enter", "Tab"]);

/** A US keyboard: what its keys type without and with Shift. */
const US = {
  Backquote: "`~", Minus: "-_", Equal: "=+", BracketLeft: "[{", BracketRight: "]}", Backslash: "\\|", Semicolon: ";:", Quote: "'\"",
  Comma: ",<", Period: ".>", Slash: "/?", Space: "  ", Digit1: "1!", Digit2: "2@", Digit3: "3#", Digit4: "4$", Digit5: "5%", Digit6: "6^",
  Digit7: "7&", Digit8: "8*", Digit9: "9(", Digit0: "0)", NumpadDecimal: "..", NumpadSubtract: "--", NumpadAdd: "++", NumpadDivide: "//", NumpadMultiply: "**",
};

/** What a key would type on a US keyboard; null if that is not known. */
export function onUsKeyboard({ code, shiftKey }) {
  if (/^Key[A-Z]$/.test(code)) return shiftKey ? code[3] : code[3].toLowerCase();
  if (/^Numpad\d$/.test(code)) return code[6];
  return US[code]?.[shiftKey ? 1 : 0] ?? null;
}

/** Collects the keys of one scan; knows nothing of the page. */
export class Burst {
  #keys = [];
  #fast = 0;
  #slow = 0;
  #alt = "";
  #last = -Infinity;

  /** Takes a key down: whether it begins something, whether it came fast, and the readings of a whole scan. */
  down(event) {
    const gap = event.timeStamp - this.#last;
    this.#last = event.timeStamp;
    const first = gap > PAUSE_MS;
    if (first) this.#forget();
    else if (gap <= FAST_MS) this.#fast += 1;
    else this.#slow += 1;
    if (ENDS.has(event.key)) {
      const isScan = this.#keys.length >= LENGTH_MIN && this.#fast > this.#slow;
      const readings = isScan ? this.#readings() : [];
      this.#forget();
      return { first, fast: isScan, readings };
    }
    this.#take(event);
    return { first, fast: gap <= FAST_MS && this.#keys.length > 1, readings: [] };
  }

  #take(event) {
    const types = event.key.length === 1 && !event.metaKey && (!event.ctrlKey || event.altKey);
    if (event.altKey && /^Numpad\d$/.test(event.code)) this.#alt += event.code[6];
    else if (event.ctrlKey && event.code === "BracketRight") this.#keys.push([SEPARATOR, SEPARATOR]);
    else if (types) this.#keys.push([event.key, onUsKeyboard(event)]);
    else if (event.key === "Dead") this.#keys.push([null, onUsKeyboard(event)]);
    else if (!SILENT.has(event.key)) this.#forget();
    if (this.#keys.length > LENGTH_MAX) this.#forget();
  }

  #forget() {
    [this.#keys, this.#alt, this.#fast, this.#slow] = [[], "", 0, 0];
  }

  /** Takes a key up: Alt+029 is typed when Alt is let go. */
  up(event) {
    if (event.key !== "Alt" || !this.#alt) return;
    const character = String.fromCharCode(Number(this.#alt));
    this.#alt = "";
    this.#keys.push([character, character]);
  }

  /** What was typed by this device's keyboard, and by a US one where that differs. */
  #readings() {
    const by = (which) => (this.#keys.every((key) => key[which] !== null) ? this.#keys.map((key) => key[which]).join("") : null);
    return [...new Set([by(0), by(1)])].filter((reading) => reading !== null);
  }
}

/**
 * Calls `scanned(readings)` for every code that a scanner types into this page: what its keys mean on this
 * device's keyboard, then what they mean on a US one, where that differs. Returns how to stop.
 */
export function wedge(scanned) {
  const burst = new Burst();
  let before = null;
  const down = (event) => {
    if (event.repeat || event.isComposing) return;
    const { first, fast, readings } = burst.down(event);
    if (first) before = snapshot(event.target);
    if (!readings.length) {
      if (fast && event.key === " " && !before) event.preventDefault(); // it would press a button
      return;
    }
    event.preventDefault();
    event.stopImmediatePropagation();
    restore(before);
    scanned(readings);
  };
  const up = (event) => burst.up(event);
  addEventListener("keydown", down, { capture: true });
  addEventListener("keyup", up, { capture: true });
  return () => {
    removeEventListener("keydown", down, { capture: true });
    removeEventListener("keyup", up, { capture: true });
  };
}

/** A field as it was before the first key. */
const snapshot = (field) => (field instanceof HTMLInputElement || field instanceof HTMLTextAreaElement ? { field, value: field.value } : null);

function restore(before) {
  if (!before || before.field.value === before.value) return;
  before.field.value = before.value;
  before.field.dispatchEvent(new InputEvent("input", { bubbles: true }));
}
