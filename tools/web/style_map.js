// Lit's `styleMap` for pages whose policy forbids style attributes: its own writes one at first.
import { noChange } from "lit";
import { Directive, directive } from "lit/directive.js";

class StyleMap extends Directive {
  #names = [];

  update({ element }, [styles]) {
    const gone = this.#names.filter((name) => !(name in styles));
    this.#names = Object.keys(styles);
    for (const name of [...gone, ...this.#names]) set(element, name, styles[name] ?? "");
    return noChange;
  }
}

function set({ style }, name, value) {
  if (name.includes("-")) style.setProperty(name, value);
  else style[name] = value;
}

export const styleMap = directive(StyleMap);
