// A scanner that types: bursts of keys faster than fingers, ended by Enter, are one code. They are taken
// wherever the focus is, and kept out of the field that happens to have it.

/** No finger types two keys within so many milliseconds, code after code. */
const FAST_MS = 35;
const LENGTH_MIN = 4;

/** Calls `scanned(code)` for each code; returns what stops it. */
export function wedge(scanned, target = document) {
  let keys = [];

  function down(event) {
    if (event.ctrlKey || event.altKey || event.metaKey || event.isComposing) return;
    const last = keys.at(-1);
    if (last && event.timeStamp - last.at > FAST_MS) keys = [];
    if (event.key === "Enter") {
      const code = keys.map((key) => key.text).join("");
      const field = keys[0]?.field;
      keys = [];
      if (code.length < LENGTH_MIN) return;
      event.preventDefault();
      event.stopPropagation();
      if (field) field.node.value = field.before;
      scanned(code);
    } else if (event.key.length === 1) {
      const node = event.target;
      const typesInto = node instanceof HTMLInputElement || node instanceof HTMLTextAreaElement;
      const field = keys.length ? keys[0].field : typesInto ? { node, before: node.value } : null;
      keys.push({ text: event.key, at: event.timeStamp, field });
    }
  }

  target.addEventListener("keydown", down, { capture: true });
  return () => target.removeEventListener("keydown", down, { capture: true });
}
