// A signature: drawn with finger, pen or mouse. Whoever cannot draw signs by name, in a field beside it.
//
// Strokes are kept as points in a frame of WIDTH × HEIGHT, so that they look the same on paper, on another
// screen, and after the tablet was turned.

import { Part, createRef, define, html, ref } from "../base/lit.js";
import { t } from "../base/i18n.js";

export const WIDTH = 600;
export const HEIGHT = 200;
const NEAR = 2;

/** Sends `changed` with the strokes: [[[x, y], …], …]. */
export class Signature extends Part {
  static properties = { strokes: { attribute: false } };
  canvas = createRef();
  #drawing = null;

  constructor() {
    super();
    this.strokes = [];
    this.themed = () => this.draw();
  }

  connectedCallback() {
    super.connectedCallback();
    document.addEventListener("cordee-theme", this.themed);
  }

  disconnectedCallback() {
    super.disconnectedCallback();
    document.removeEventListener("cordee-theme", this.themed);
  }

  render() {
    return html`<div class="signature">
      <canvas width=${WIDTH} height=${HEIGHT} role="img" ${ref(this.canvas)}
        aria-label=${this.strokes.length ? t("The signature") : t("Sign here with finger, pen or mouse; or sign by name below.")}
        @pointerdown=${this.begin} @pointermove=${this.go} @pointerup=${this.end} @pointercancel=${this.end}></canvas>
      <button type="button" class="button" ?disabled=${!this.strokes.length} @click=${() => this.set([])}>${t("Clear the signature")}</button>
    </div>`;
  }

  updated() {
    this.draw();
  }

  begin(event) {
    event.preventDefault();
    event.target.setPointerCapture(event.pointerId);
    this.#drawing = { id: event.pointerId, points: [this.#at(event)] };
    this.draw();
  }

  go(event) {
    if (this.#drawing?.id !== event.pointerId) return;
    for (const each of event.getCoalescedEvents?.() ?? [event]) {
      const [x, y] = this.#at(each);
      const [lastX, lastY] = this.#drawing.points.at(-1);
      if (Math.hypot(x - lastX, y - lastY) >= NEAR) this.#drawing.points.push([x, y]);
    }
    this.draw();
  }

  end(event) {
    if (this.#drawing?.id !== event.pointerId) return;
    const { points } = this.#drawing;
    this.#drawing = null;
    this.set([...this.strokes, points]);
  }

  set(strokes) {
    this.strokes = strokes;
    this.dispatchEvent(new CustomEvent("changed", { detail: strokes }));
  }

  #at(event) {
    const frame = this.canvas.value.getBoundingClientRect();
    const inside = (part, whole, most) => Math.round(Math.min(Math.max(part / whole, 0), 1) * most);
    return [inside(event.clientX - frame.left, frame.width, WIDTH), inside(event.clientY - frame.top, frame.height, HEIGHT)];
  }

  draw() {
    const canvas = this.canvas.value;
    const context = canvas.getContext("2d");
    context.clearRect(0, 0, WIDTH, HEIGHT);
    Object.assign(context, { lineWidth: 3, lineCap: "round", lineJoin: "round", strokeStyle: getComputedStyle(canvas).color });
    for (const points of [...this.strokes, ...(this.#drawing ? [this.#drawing.points] : [])]) {
      context.beginPath();
      context.moveTo(...points[0]);
      for (const point of points) context.lineTo(...point);
      context.stroke();
    }
  }
}
define("van-signature", Signature);

/** What the server takes of a path; a signature has some hundreds of points in a few strokes. */
const PATH_MAX = 20_000;
const STROKES_MAX = 1_000;

/** Strokes as path data of SVG in a frame of WIDTH × HEIGHT, with fewer points where it would be too long. */
export function asPath(strokes) {
  for (let step = 1; ; step *= 2) {
    const path = strokes.slice(0, STROKES_MAX).map((points) => pathOf(points, step)).join("");
    if (path.length <= PATH_MAX) return path;
  }
}

function pathOf(points, step) {
  const [first, ...rest] = points.filter((_, i) => i % step === 0 || i === points.length - 1);
  return `M${first.join(" ")}${rest.length ? rest.map((point) => `L${point.join(" ")}`).join("") : "l0 0"}`;
}

/** A name that stands for a signature, as a PNG in base64; it says that it was typed. */
export function asPicture(name) {
  const canvas = Object.assign(document.createElement("canvas"), { width: WIDTH, height: HEIGHT });
  const context = canvas.getContext("2d");
  Object.assign(context, { font: "italic 48px serif", textAlign: "center", fillStyle: "#000" });
  context.fillText(name, WIDTH / 2, HEIGHT / 2, WIDTH - 40);
  context.font = "22px sans-serif";
  context.fillText(t("signed by name"), WIDTH / 2, HEIGHT - 30, WIDTH - 40);
  return canvas.toDataURL("image/png").split(",")[1];
}
