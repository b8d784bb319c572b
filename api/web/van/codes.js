// From what a scanner read to what it may mean, best first; never a guess. Pure: no page, no network.
//
// The rules are those of stock_tracker/barcodes.py, whose table says them; the server decides, and this
// tells the technician at once, offline too, what it will decide. Of element strings only their form is
// looked at here (lengths, check digits, what stands beside what), not each element's own pattern.

const SEPARATOR = "\u001d";
const AIM = /^\][A-Za-z][0-9A-Za-z]/;
const ELEMENT_CARRIERS = new Set(["]C1", "]d2", "]Q3", "]e0", "]J1"]);
const GTIN_CARRIERS = new Set(["]E0", "]E4", "]I1"]);
const ENTIRE = { gtin: /^(\d{8}|\d{12,14})$/, sscc: /^\d{18}$/ };

/** How long an element is with its identifier, by the first two digits, where no separator ends it. */
const FIXED = {
  "00": 20, "01": 16, "02": 16, "03": 16, "04": 18, 11: 8, 12: 8, 13: 8, 14: 8, 15: 8, 16: 8, 17: 8,
  18: 8, 19: 8, 20: 4, 31: 10, 32: 10, 33: 10, 34: 10, 35: 10, 36: 10, 41: 16,
};
/** How many digits an identifier has, by the first two; two where nothing is said. */
const IDENTIFIER = {
  23: 3, 24: 3, 25: 3, 31: 4, 32: 4, 33: 4, 34: 4, 35: 4, 36: 4, 39: 4, 40: 3, 41: 3, 42: 3, 43: 4,
  70: 4, 71: 3, 72: 4, 80: 4, 81: 4, 82: 4,
};
const UNUSED = /^(0[5-9]|1[48]|19|2[6-9]|38|4[4-9]|5\d|6\d|7[3-9]|8[3-9])/;
const LONGEST = 90;

/** What an element needs beside it, one of these sets; and what it must not stand beside. */
const NEEDS = { "02": [["37"]], 21: [["01"]], 30: [["01"], ["02"]], 37: [["00", "02"]] };
const EXCLUDES = { "01": ["02", "37"] };

/** What a code may stand for, in order of preference, each key once: [{ key, packs, lot }]. */
export function meanings(text, aim = null) {
  const given = text.match(AIM)?.[0];
  const body = given ? text.slice(3) : text;
  const first = new Map();
  for (const meaning of [{ key: text }, { key: body }, ...read(body, aim ?? given)]) {
    if (!first.has(meaning.key)) first.set(meaning.key, { packs: null, lot: "", ...meaning });
  }
  return [...first.values()];
}

/** The 18 digits of the box that a code is the number of; null for any other code. */
export const boxOf = (text, aim) => meanings(text, aim).find(({ key }) => isSscc(key))?.key ?? null;

function read(body, carrier) {
  if (ELEMENT_CARRIERS.has(carrier) || body.startsWith(SEPARATOR)) {
    return articles(body.startsWith(SEPARATOR) ? body.slice(1) : body);
  }
  const isGtin = ENTIRE.gtin.test(body) && checks(body);
  if (GTIN_CARRIERS.has(carrier) || isGtin) return isGtin ? [{ key: body.padStart(14, "0") }] : [];
  if (isSscc(body)) return [{ key: body }];
  return /^0[012]/.test(body) ? articles(body) : [];
}

const isSscc = (text) => ENTIRE.sscc.test(text) && checks(text);

/** Whether the last digit is what the others ask for: weights 3 and 1 from the right. */
function checks(digits) {
  const sum = [...digits].reverse().reduce((total, digit, i) => total + Number(digit) * (i % 2 ? 3 : 1), 0);
  return sum % 10 === 0;
}

function articles(body) {
  const elements = elementsOf(body);
  if (!elements || !holdTogether(elements)) return [];
  const said = elements.get("30") ?? elements.get("37");
  const packs = said === undefined ? null : Number(said);
  const lot = elements.get("10") ?? "";
  const box = elements.has("00") ? [{ key: elements.get("00") }] : [];
  const goods = ["01", "02"].filter((ai) => elements.has(ai));
  return [...box, ...goods.map((ai) => ({ key: elements.get(ai), packs, lot }))];
}

/** Elements by their identifiers; null if the text is not made of them, or names one twice. */
function elementsOf(body) {
  const found = new Map();
  for (let rest = body; rest; ) {
    const two = rest.slice(0, 2);
    if (!/^\d\d$/.test(two) || UNUSED.test(two)) return null;
    const ai = rest.slice(0, IDENTIFIER[two] ?? 2);
    const end = FIXED[two] ?? (rest.includes(SEPARATOR) ? rest.indexOf(SEPARATOR) : rest.length);
    const value = rest.slice(ai.length, end);
    const whole = FIXED[two] ? rest.length >= end && /^\d+$/.test(value) : value.length <= LONGEST;
    if (!/^\d+$/.test(ai) || !value || !whole || found.has(ai)) return null;
    found.set(ai, value);
    rest = rest.slice(end);
    if (rest.startsWith(SEPARATOR)) rest = rest.slice(1);
  }
  return found.size ? found : null;
}

function holdTogether(elements) {
  for (const [ai, value] of elements) {
    const needs = NEEDS[ai];
    if (needs && !needs.some((all) => all.every((other) => elements.has(other)))) return false;
    if (EXCLUDES[ai]?.some((other) => elements.has(other))) return false;
    if (["00", "01", "02"].includes(ai) && !checks(value)) return false;
    if (["30", "37"].includes(ai) && !/^\d{1,8}$/.test(value)) return false;
    if (["10", "21"].includes(ai) && value.length > 20) return false;
  }
  return true;
}
