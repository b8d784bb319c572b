// Something looked at in passing, over the page: a dialog with one part in it.

import { html, render } from "../base/lit.js";
import { t } from "../base/i18n.js";

/** Shows `part`, an element, until it is closed; the focus then goes back. */
export function showSheet(title, part) {
  const dialog = document.createElement("dialog");
  dialog.className = "card sheet";
  const before = document.activeElement;
  dialog.addEventListener("close", () => {
    dialog.remove();
    before?.focus?.();
  });
  document.body.append(dialog);
  render(html`<div class="head"><h2 id="sheet-title">${title}</h2>
    <button class="button" @click=${() => dialog.close()}>${t("Close")}</button></div>${part}`, dialog);
  dialog.setAttribute("aria-labelledby", "sheet-title");
  dialog.showModal();
}
