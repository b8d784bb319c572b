// How the panes share the page: sizes that are dragged or set by the arrow keys, panes that are folded, and
// the memory of both in this browser.

import { Part, define } from "../base/lit.js";

const KEPT = "cordee.planner.panes";
const STEP = 24;

/** Pixels of each pane that has a size of its own, and those that are folded. */
const INITIAL = { queue: 340, drawer: 380, below: 300, folded: [], middle: "map", bottom: "tours" };

const kept = { ...INITIAL, ...parsed(localStorage.getItem(KEPT)) };

function parsed(text) {
  try {
    return JSON.parse(text) ?? {};
  } catch {
    return {};
  }
}

export const remembered = (name) => kept[name];

export function remember(name, value) {
  kept[name] = value;
  localStorage.setItem(KEPT, JSON.stringify(kept));
}

export const isFolded = (name) => kept.folded.includes(name);

export function fold(name, folded) {
  remember("folded", folded ? [...new Set([...kept.folded, name])] : kept.folded.filter((one) => one !== name));
}

/**
 * The gap before or after a pane, which can be moved: `of` names the pane, `axis` is x or y, `sign` says
 * whether the pane grows with the pointer's way (1) or against it (-1). Sets `--<of>-size` of its parent.
 */
export class Splitter extends Part {
  static properties = { of: {}, axis: {}, sign: { type: Number }, min: { type: Number }, max: { type: Number }, label: {} };

  connectedCallback() {
    super.connectedCallback();
    this.role = "separator";
    this.tabIndex = 0;
    this.ariaOrientation = this.axis === "x" ? "vertical" : "horizontal";
    this.addEventListener("pointerdown", this.#grab);
    this.addEventListener("keydown", this.#key);
    this.#size(remembered(this.of));
  }

  render() {
    this.ariaLabel = this.label;
    [this.ariaValueMin, this.ariaValueMax] = [this.min, this.max].map(String);
  }

  #size(wanted) {
    const size = Math.round(Math.min(this.max, Math.max(this.min, wanted)));
    this.parentElement.style.setProperty(`--${this.of}-size`, `${size}px`);
    this.ariaValueNow = String(size);
    this.size = size;
  }

  #grab = (event) => {
    if (event.button !== 0) return;
    event.preventDefault();
    this.setPointerCapture(event.pointerId);
    const at = (one) => (this.axis === "x" ? one.clientX : one.clientY);
    const [from, size] = [at(event), this.size];
    const move = (one) => this.#size(size + this.sign * (at(one) - from));
    this.addEventListener("pointermove", move);
    this.addEventListener("lostpointercapture", () => {
      this.removeEventListener("pointermove", move);
      remember(this.of, this.size);
    }, { once: true });
  };

  #key = (event) => {
    const grow = (this.axis === "x" ? { ArrowRight: 1, ArrowLeft: -1 } : { ArrowDown: 1, ArrowUp: -1 })[event.key];
    const wanted = grow ? this.size + grow * this.sign * STEP : { Home: this.min, End: this.max }[event.key];
    if (wanted === undefined) return;
    event.preventDefault();
    this.#size(wanted);
    remember(this.of, this.size);
  };
}
define("cordee-splitter", Splitter);
