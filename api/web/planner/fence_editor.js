// A fence being drawn: on the map by its handles, or by numbers, which is all there is without a mouse.

import { define, html, nothing } from "../base/lit.js";
import { t } from "../base/i18n.js";
import { Pane } from "./desk.js";
import { CORNERS_MIN, cornerAfter, turnedInto, withoutCorner } from "./draft.js";

class FenceEditor extends Pane {
  render() {
    const { draft } = this.desk;
    if (!draft) return nothing;
    return html`
      <fieldset class="choices"><legend>${t("Shape")}</legend>
        ${draft.kind === "fixed" ? html`<p class="quiet">${t("This fence is a corridor, or has holes: only its width can be changed here.")}</p>` : [["circle", t("Circle")], ["area", t("Area with corners")]].map(
          ([kind, said]) => html`<label><input type="radio" name="kind" .checked=${draft.kind === kind} @change=${() => this.#draw(turnedInto(kind, draft))}> ${said}</label>`)}
      </fieldset>
      ${draft.kind === "area" ? this.#corners(draft) : this.#circle(draft)}
      <p class="quiet">${draft.kind === "fixed" ? nothing : t("Or take hold of the points on the map.")}</p>`;
  }

  #draw(draft) {
    this.desk.draft = draft;
    this.desk.changed();
  }

  #circle(draft) {
    const centre = (axis, value) => this.#draw({ ...draft, centre: draft.centre.with(axis, value) });
    return html`<div class="fields">
      <label class="field">${t("Radius, m")}${number(draft.radius_m, 1, 5_000, 5, (value) => this.#draw({ ...draft, radius_m: value }))}</label>
      ${draft.kind === "fixed" ? nothing : html`<span></span>
        <label class="field">${t("Latitude")}${number(draft.centre[1], -90, 90, 0.0001, (value) => centre(1, value))}</label>
        <label class="field">${t("Longitude")}${number(draft.centre[0], -180, 180, 0.0001, (value) => centre(0, value))}</label>`}
    </div>`;
  }

  #corners(draft) {
    const { corners } = draft;
    const put = (nth, axis, value) => this.#draw({ ...draft, corners: corners.with(nth, corners[nth].with(axis, value)) });
    return html`<div class="corners" role="group" aria-label=${t("Corners")}>
      <span></span><span class="quiet">${t("Latitude")}</span><span class="quiet">${t("Longitude")}</span><span></span>
      ${corners.map(([lon, lat], nth) => html`<span>${nth + 1}</span>
        ${number(lat, -90, 90, 0.0001, (value) => put(nth, 1, value), t("Latitude of corner {n}", { n: nth + 1 }))}
        ${number(lon, -180, 180, 0.0001, (value) => put(nth, 0, value), t("Longitude of corner {n}", { n: nth + 1 }))}
        <span><button type="button" class="button small" aria-label=${t("Another corner after {n}", { n: nth + 1 })} @click=${() => this.#draw(cornerAfter(draft, nth))}>+</button>
          <button type="button" class="button small" aria-label=${t("Remove corner {n}", { n: nth + 1 })} ?disabled=${corners.length <= CORNERS_MIN} @click=${() => this.#draw(withoutCorner(draft, nth))}>−</button></span>`)}
    </div>`;
  }
}
define("cordee-fence-editor", FenceEditor);

/** A field for a number; what is no number in the range changes nothing. */
const number = (value, min, max, step, change, label = null) => html`<input type="number" required min=${min} max=${max} step="any" .value=${String(value)} aria-label=${label ?? nothing}
  @change=${(event) => event.target.reportValidity() && change(event.target.valueAsNumber)} @keydown=${(event) => nudge(event, step)}>`;

/** The arrows move by a step one can see; the field itself would move by one degree. */
function nudge(event, step) {
  const by = { ArrowUp: step, ArrowDown: -step }[event.key];
  if (!by) return;
  event.preventDefault();
  event.target.value = String(Math.round((event.target.valueAsNumber + by) * 1e6) / 1e6);
  event.target.dispatchEvent(new Event("change", { bubbles: true }));
}
