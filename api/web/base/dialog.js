// A question before something is done: a modal dialog with a form, which says what went wrong and stays
// open until it is done or left.

import { html, nothing, render } from "./lit.js";
import { t } from "./i18n.js";

/**
 * Asks in a dialog. `content` is a template of fields, or a function that returns one; `act(data)` is
 * called with the FormData and may throw a Problem, whose words are then shown. Returns what `act`
 * returned, or undefined if the dialog was left.
 */
export function askInDialog({ title, content, action, act = () => true, danger = false }) {
  const dialog = document.createElement("dialog");
  dialog.className = "card";
  document.body.append(dialog);
  const before = document.activeElement;
  return new Promise((resolve) => {
    let result;
    let problem = "";
    let busy = false;
    const submit = async (event) => {
      event.preventDefault();
      if (busy) return;
      [busy, problem] = [true, ""];
      draw();
      try {
        result = await act(new FormData(event.target));
        dialog.close();
      } catch (error) {
        [busy, problem] = [false, error.message];
        draw();
      }
    };
    const draw = () =>
      render(
        html`<form method="dialog" aria-labelledby="dialog-title" @submit=${submit}>
          <h2 id="dialog-title">${title}</h2>
          ${typeof content === "function" ? content() : content ?? nothing}
          <p class="problem" role="alert">${problem}</p>
          <p class="actions">
            <button type="button" class="button" @click=${() => dialog.close()}>${t("Cancel")}</button>
            <button class="button primary ${danger ? "danger" : ""}" ?disabled=${busy}>${action}</button>
          </p>
        </form>`,
        dialog,
      );
    dialog.addEventListener("close", () => {
      dialog.remove();
      before?.focus?.();
      resolve(result);
    });
    draw();
    dialog.showModal();
  });
}
