// Why something is ordered or handed over: phrases that the API tells, each an id of the catalogue.

import { count, rate } from "../base/format.js";
import { t } from "../base/i18n.js";

const written = (values) => Object.fromEntries(Object.entries(values).map(([name, value]) => [name, typeof value === "number" ? rate(value) : value]));

/** A reason in the reader's language; in English where nobody has told its phrases. */
export const whyOf = ({ because, why }) => because.map(({ text, values }) => t(text, written(values))).join("; ") || why || t("no reason recorded");

/** What a decision was made from. */
const INPUTS = {
  on_hand: () => t("On board"),
  on_order: () => t("On order"),
  on_transfer: () => t("From other vans"),
  needed: () => t("Needed by jobs"),
  reorder_point: () => t("Reorder point"),
  order_up_to: () => t("Order up to"),
  cap: () => t("Cap"),
  pack_qty: () => t("In a pack"),
};

/** Numbers that a decision was made from, by their names in the reader's language. */
export const inputsOf = ({ inputs }) => Object.entries(INPUTS).filter(([name]) => name in inputs).map(([name, said]) => [said(), count(inputs[name])]);
