// Words in the reader's language. Message ids are English sentences, as gettext has them; catalogues
// come from api/locales/*.po, one JSON a language: { "plural": { "one": 0, … }, "messages": { id: text
// or [texts] } }. What a catalogue lacks is shown in English, and makes `make check` fail.
//
// Sentences are whole: values go into {braces}, so that a language may order them as it likes.

/** Languages by their own names, as one looks for them. */
export const LANGUAGES = {
  ca: "Català",
  de: "Deutsch",
  en: "English",
  es: "Español",
  fr: "Français",
  it: "Italiano",
  nl: "Nederlands",
  pl: "Polski",
  pt: "Português",
};
/** English made longer and accented, to find what is not translated and what does not fit. */
const PSEUDO = "en-XA";
const KEPT = "cordee.language";

function chosen() {
  const asked = new URLSearchParams(location.search).get("lang");
  if (asked === PSEUDO) return PSEUDO;
  for (const tag of [localStorage.getItem(KEPT), ...(navigator.languages ?? [])]) {
    const language = (tag ?? "").slice(0, 2).toLowerCase();
    if (language in LANGUAGES) return language;
  }
  return "en";
}

export const language = chosen();
/** What Intl is asked with: English and Portuguese are Europe's. */
export const locale = { en: "en-GB", [PSEUDO]: "en-GB", pt: "pt-PT" }[language] ?? language;

const catalogue = language in LANGUAGES && language !== "en" ? await read(language) : null;
const rules = new Intl.PluralRules(locale);
document.documentElement.lang = locale;

async function read(name) {
  try {
    const answer = await fetch(new URL(`../locales/${name}.json`, import.meta.url));
    return answer.ok ? await answer.json() : null;
  } catch {
    return null; // offline, and not kept: English is better than nothing
  }
}

/** Remembers a language and shows the page in it. */
export function speak(name) {
  localStorage.setItem(KEPT, name);
  location.reload();
}

const ACCENTS = { a: "á", e: "é", i: "í", o: "ó", u: "ú", A: "Á", E: "É", I: "Í", O: "Ó", U: "Ú", c: "ç", n: "ñ" };

function stretched(text) {
  const accented = text.replace(/\{\w+\}|[aeiouAEIOUcn]/g, (part) => ACCENTS[part] ?? part);
  return `[${accented}${"·".repeat(Math.ceil(text.length * 0.4))}]`;
}

function filled(text, values) {
  return values ? text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole)) : text;
}

const found = (id) => {
  if (language === PSEUDO) return stretched(id);
  const text = catalogue?.messages[id];
  return typeof text === "string" && text ? text : id;
};

/** A sentence, with values for its {braces}. */
export const t = (id, values) => filled(found(id), values);

/** A sentence about `n` of something; {n} is the number as the language writes it. */
export function tn(one, many, n, values) {
  const all = { n: number.format(n), ...values };
  if (language === PSEUDO) return filled(stretched(n === 1 ? one : many), all);
  const forms = catalogue?.messages[one];
  const form = Array.isArray(forms) ? forms[catalogue.plural[rules.select(n)] ?? forms.length - 1] : null;
  return filled(form || (n === 1 ? one : many), all);
}

const number = new Intl.NumberFormat(locale, { maximumFractionDigits: 0 });
