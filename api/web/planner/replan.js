// Who else could do a stop: proposals side by side. The one that is looked at is drawn on the map and in the
// tours; applied, it can be taken back, from the message that says so and from the list of the day.

import { define, html, nothing } from "../base/lit.js";
import { count, signedMinutes, time } from "../base/format.js";
import { t, tn } from "../base/i18n.js";
import { change, idempotencyKey } from "../base/session.js";
import { say } from "../base/shell.js";
import { Asked } from "./asked.js";
import { Pane } from "./desk.js";

/** The best ones; the rest is seldom looked at. */
const FIRST = 5;

const TITLES = {
  keep: (one) => t("Leave it with {van}", { van: nameOf(one) }),
  reorder: (one) => t("{van}, in another order", { van: nameOf(one) }),
  move: (one) => t("Give it to {van}", { van: nameOf(one) }),
};
const nameOf = ({ van, technician }) => (technician ? `${van} (${technician})` : van);

class Replan extends Pane {
  static properties = { stopId: { type: Number }, busy: { state: true }, problem: { state: true }, all: { state: true } };
  proposals = new Asked(this);

  willUpdate(changed) {
    this.held = this.contains(document.activeElement);
    if (changed.has("stopId")) Object.assign(this, { problem: "", all: false });
  }

  /** A button that is gone once it was pressed leaves the focus to what came of it. */
  updated() {
    if (this.held && document.activeElement === document.body) (this.querySelector("input") ?? this.closest(".body"))?.focus();
  }

  render() {
    const asking = this.desk.asking === this.stopId;
    if (!asking) {
      return html`<section><h4>${t("Replan")}</h4><p><button class="button" @click=${() => this.desk.replan(this.stopId)}>${t("Move to…")}</button></p>
        <p class="quiet">${t("Shows who could do this stop, and what that costs. Nothing changes before you apply it.")}</p></section>`;
    }
    const { value, problem } = this.proposals.of(`/v1/stops/${this.stopId}/proposals`);
    return html`<section aria-busy=${String(!value && !problem)}>
      <h4 id="move-to">${t("Move to…")}</h4>
      ${problem ? html`<p class="problem" role="alert">${problem.message}</p>` : value ? this.#proposals(value) : html`<p class="quiet" role="status">${t("Working out who could do it…")}</p>`}
    </section>`;
  }

  #proposals({ van, proposals }) {
    const chosen = this.desk.preview?.proposal ?? null;
    const shown = this.all ? proposals : proposals.slice(0, FIRST);
    const can = chosen !== null && chosen.kind !== "keep";
    return html`
      <div role="radiogroup" aria-labelledby="move-to" class="proposals">${shown.map((one, nth) => this.#proposal(one, nth, chosen, van))}</div>
      ${shown.length < proposals.length ? html`<p><button class="button small" @click=${() => (this.all = true)}>${tn("Show {n} more", "Show {n} more", proposals.length - shown.length)}</button></p>` : nothing}
      <p class="problem" role="alert">${this.problem}</p>
      <p class="actions"><button class="button primary" ?disabled=${!can || this.busy} @click=${() => this.#apply(chosen)}>${t("Apply")}</button>
        <button class="button" @click=${() => this.#again()}>${t("Ask again")}</button></p>`;
  }

  #proposal(one, nth, chosen, giver) {
    const look = () => {
      this.desk.preview = { stop_id: this.stopId, proposal: one };
      this.desk.changed();
    };
    return html`<label class="proposal ${one === chosen ? "chosen" : ""}">
      <input type="radio" name="proposal" .checked=${one === chosen} ?autofocus=${nth === 0} @change=${look}>
      <span><b>${TITLES[one.kind](one)}</b>
        <span class="line"><span>${t("there {time}", { time: time(one.expected_ms, this.desk.now()) })}, ${one.late_min ? html`<b class="bad">${tn("{n} minute late", "{n} minutes late", one.late_min)}</b>` : t("in time")}</span>
          ${one.kind === "keep" ? nothing : html`<span class="badge">${t("{minutes} late in all", { minutes: signedMinutes(one.weighted_min) })}</span>`}</span>
        ${one.kind === "keep" ? nothing : sides(one, giver).map((said) => html`<span class="second">${said}</span>`)}
        ${one.missing.length ? html`<span class="second bad">${t("Not free on board: {parts}", { parts: one.missing.map(({ qty, item }) => `${count(qty)} × ${item}`).join(", ") })}</span>`
          : one.kind === "keep" ? nothing : html`<span class="second">${t("All its parts are on board.")}</span>`}
      </span></label>`;
  }

  #again() {
    this.desk.preview = null;
    this.problem = "";
    this.proposals.again();
  }

  async #apply(one) {
    const [planner, held] = [document.querySelector("cordee-planner"), this.contains(document.activeElement)];
    [this.busy, this.problem] = [true, ""];
    const body = { stop_id: this.stopId, kind: one.kind, van: one.van, order: one.order.map((stop) => stop.stop_id), based_on: one.based_on };
    try {
      const done = await change("POST", "/v1/replans", body, idempotencyKey());
      say(said(done), { undo: () => undo(this.desk, done) });
      await this.desk.replanned();
      this.desk.choose("van", done.to_van);
      if (held) planner.enter();
    } catch (problem) {
      this.problem = problem.message;
    }
    this.busy = false;
  }
}
define("cordee-replan", Replan);

/** What a proposal does to the other stops of both vans, and to their roads. */
function* sides(one, giver) {
  const own = one.taker ?? one.giver;
  if (own.extra_drive_min || own.extra_km) {
    yield t("{van} drives {minutes}, {km} km", { van: one.van, minutes: signedMinutes(own.extra_drive_min), km: `${own.extra_km < 0 ? "−" : "+"}${Math.abs(own.extra_km)}` });
  }
  for (const [van, side] of [[giver, one.giver], [one.van, one.taker]]) {
    if (!side) continue;
    const change_min = side.lost_min - side.gained_min;
    if (change_min) yield t("the other stops of {van}: {minutes} late", { van, minutes: signedMinutes(change_min) });
    if (side.overtime_min) yield tn("{van} is home {n} minute late", "{van} is home {n} minutes late", side.overtime_min, { van });
  }
  if (one.reordered) yield t("the stops of {van} change places", { van: one.van });
}

/** A replan in words. */
export const said = ({ kind, site_name, from_van, to_van }) =>
  kind === "move"
    ? t("{site}: from {from} to {to}", { site: site_name, from: from_van, to: to_van })
    : t("{site}: at another time of {van}", { site: site_name, van: to_van });

/** Takes a replan back, and says so, or why it cannot be. */
export async function undo(desk, replan) {
  try {
    const done = await change("POST", `/v1/replans/${replan.replan_id}/undo`, undefined, idempotencyKey());
    say(t("Taken back: {replan}", { replan: said(done) }));
    await desk.replanned();
  } catch (problem) {
    say(problem.message);
  }
}
