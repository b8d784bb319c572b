// Keys that do something by themselves (j, k, a, …), the list of them, and the switch that turns them off
// for who speaks to the machine or touches keys unawares (WCAG 2.1.4).

import { html } from "../base/lit.js";
import { t } from "../base/i18n.js";
import { askInDialog } from "../base/dialog.js";

const KEPT = "cordee.planner.keys";
const TYPED_IN = "input, select, textarea, [contenteditable]";

export const SHORTCUTS = {
  j: () => t("Next alert"),
  k: () => t("Alert before"),
  a: () => t("Acknowledge the alert"),
  s: () => t("Put the alert off"),
  m: () => t("Move the stop to another van"),
  d: () => t("To what is open on the right, and back"),
  "/": () => t("Search"),
  Escape: () => t("Close what is open on the right"),
  "?": () => t("These keys"),
};

const areOn = () => localStorage.getItem(KEPT) !== "off";

/** Calls `acts[key]()` when its key is pressed, unless somebody is typing, or keys are off. */
export function listen(acts) {
  addEventListener("keydown", (event) => {
    const act = acts[event.key];
    if (!act || event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key !== "Escape" && !areOn()) return;
    if (event.target.closest?.(`${TYPED_IN}, dialog`) || document.querySelector("dialog[open]")) return;
    if (act() !== false) event.preventDefault();
  });
}

/** The list of keys, with their switch. */
export async function showKeys() {
  await askInDialog({
    title: t("Keys"),
    content: html`
      <dl class="keys">${Object.entries(SHORTCUTS).map(([key, said]) => html`<dt><kbd>${key === "Escape" ? t("Esc") : key}</kbd></dt><dd>${said()}</dd>`)}
        <dt><kbd>↑</kbd> <kbd>↓</kbd> <kbd>←</kbd> <kbd>→</kbd></dt><dd>${t("In the tours: the stop beside, the van above or below")}</dd></dl>
      <label><input type="checkbox" name="on" ?checked=${areOn()}> ${t("Single keys do something")}</label>`,
    action: t("Save"),
    act: (data) => {
      localStorage.setItem(KEPT, data.get("on") ? "on" : "off");
      return true;
    },
  });
}
