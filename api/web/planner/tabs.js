// Several views in one place, of which one is shown: the tabs above them.

import { html } from "../base/lit.js";

/**
 * tabs: [[name, label]]; chosen: a name; choose(name). The panel below has the id `${of}-panel`.
 * The arrow keys go from tab to tab, as everywhere.
 */
export function tabs({ of, label, tabs: all, chosen, choose }) {
  const move = (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const at = all.findIndex(([name]) => name === chosen);
    const [name] = all.at((at + step) % all.length);
    choose(name);
    event.currentTarget.querySelector(`[data-tab="${name}"]`).focus();
  };
  return html`<div class="tabs" role="tablist" aria-label=${label} @keydown=${move}>
    ${all.map(([name, said]) => html`<button role="tab" id="${of}-${name}" data-tab=${name} aria-controls="${of}-panel"
      aria-selected=${String(name === chosen)} tabindex=${name === chosen ? 0 : -1} @click=${() => choose(name)}>${said}</button>`)}
  </div>`;
}
