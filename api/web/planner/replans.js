// What was replanned today, newest first, and the way back.

import { define, html } from "../base/lit.js";
import { nameOf, time } from "../base/format.js";
import { t } from "../base/i18n.js";
import { twoLines } from "../base/table.js";
import { Asked } from "./asked.js";
import { Pane } from "./desk.js";
import { said, undo } from "./replan.js";

class Replans extends Pane {
  list = new Asked(this);

  render() {
    // Asked for again whenever somebody here has replanned.
    const { value, problem } = this.list.of(`/v1/replans#${this.desk.replans}`);
    if (problem) return html`<p class="problem" role="alert">${problem.message}</p>`;
    return html`<cordee-table .label=${t("Replanned today")} .columns=${this.#columns()} .rows=${value?.replans ?? null} .key=${(one) => one.replan_id}
      .empty=${t("Nothing was replanned today. Choose a stop, then “Move to…”: what you apply stands here, and can be taken back.")}></cordee-table>`;
  }

  #columns() {
    const now = this.desk.now();
    return [
      { name: "what", label: t("What"), className: "wide", show: said },
      { name: "by", label: t("Applied"), show: (one) => twoLines(time(one.applied_at_ms, now), nameOf(one.applied_by)) },
      { name: "undone", label: t("Taken back"), show: (one) => (one.undone_by ? twoLines(time(one.undone_at_ms, now), nameOf(one.undone_by)) : this.#way(one)) },
    ];
  }

  #way(one) {
    if (one.undoable) return html`<button class="button small" @click=${() => undo(this.desk, one)}>${t("Take back")}</button>`;
    return html`<span class="quiet">${one.edited_since.length ? t("edited since") : t("a van was there")}</span>`;
  }
}
define("cordee-replans", Replans);
