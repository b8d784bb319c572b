// What Cordée itself writes to vans (`ingest/apply.py`), said in the reader's language: by its English text,
// whose {braces} hold what differs from one message to the next.

import { t } from "./i18n.js";

const TEXTS = {
  "{order} is on its way: {lines} lines, to your van.": (of) => t("{order} is on its way: {lines} lines, to your van.", of),
  "{order} is on its way: {lines} lines, to your home.": (of) => t("{order} is on its way: {lines} lines, to your home.", of),
  "{order} is on its way: {lines} lines, to the site of its job.": (of) => t("{order} is on its way: {lines} lines, to the site of its job.", of),
  "Please hand {qty} of {name} ({ref}) to {receiver} when your ways cross; scan a transfer.": (of) => t("Please hand {qty} of {name} ({ref}) to {receiver} when your ways cross; scan a transfer.", of),
  "{giver} has {qty} of {name} ({ref}) for you: your ways cross.": (of) => t("{giver} has {qty} of {name} ({ref}) for you: your ways cross.", of),
  "Please count when you are parked: less than nothing is booked.": () => t("Please count when you are parked: less than nothing is booked."),
  "Please count when you are parked: the last count found something else than was booked.": () => t("Please count when you are parked: the last count found something else than was booked."),
};

const KNOWN = Object.entries(TEXTS).map(([text, said]) => {
  const literal = text.replace(/[.*+?^$()|[\]\\]/g, "\\$&");
  return [new RegExp(`^${literal.replace(/\{(\w+)\}/g, "(?<$1>.+)")}$`), said];
});

/** A message's text: what a person wrote stays as it is, what has no author is Cordée's. */
export function textOf({ author, mine, from_base = !mine, text }) {
  if (author || !from_base) return text;
  for (const [pattern, said] of KNOWN) {
    const found = pattern.exec(text);
    if (found) return said(found.groups);
  }
  return text;
}
