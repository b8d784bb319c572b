// What codes stand for, and what parts there are: the server's catalogue, kept for offline. Pure.

import { boxOf, meanings } from "./codes.js";

const SHOWN = 8;

export class Catalogue {
  /** `told` is what GET /v1/catalogue says. */
  constructor(told = { items: [], codes: [] }) {
    this.items = new Map(told.items.map((item) => [item.item, item]));
    this.codes = new Map(told.codes.map(({ code, item, pack_qty }) => [code, { item, pack: pack_qty }]));
    this.codeOf = new Map(told.codes.map(({ code, item }) => [item, code]).reverse());
  }

  /** What a code stands for: { item, name, unit, units }, the units of one scan of it; null if unknown. */
  lookUp(text, aim) {
    for (const { key, packs } of meanings(text, aim)) {
      const found = this.codes.get(key);
      if (found) return { ...this.named(found.item), units: found.pack * (packs ?? 1) };
    }
    return null;
  }

  /** Of several readings of one scan the one that is known: { text, found }; else the first. */
  choose(readings, aim) {
    for (const text of readings) {
      const found = this.lookUp(text, aim);
      if (found || boxOf(text, aim)) return { text, found };
    }
    return { text: readings[0], found: null };
  }

  named(item) {
    const known = this.items.get(item);
    return { item, name: known?.name ?? item, unit: known?.base_unit ?? "" };
  }

  /** Parts whose ref or name holds every word of `words`, the shortest name first. */
  search(words) {
    const wanted = folded(words).split(/\s+/).filter(Boolean);
    if (!wanted.length) return [];
    this.searched ??= [...this.items.values()].map((item) => ({ item, text: folded(`${item.item} ${item.name}`) }));
    const found = this.searched.filter(({ text }) => wanted.every((word) => text.includes(word)));
    return found.sort((a, b) => a.text.length - b.text.length).slice(0, SHOWN).map(({ item }) => item);
  }
}

/** Without accents and capitals: what people type. */
export const folded = (text) => text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();
