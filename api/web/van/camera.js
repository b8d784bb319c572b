// The camera as a scanner: looks a few times a second and tells each code once while it is in sight.

import { Part, createRef, define, html, nothing, ref } from "../base/lit.js";
import { t } from "../base/i18n.js";

const LOOK_MS = 150;
/** A code that was out of sight for so long, and in so many looks, is meant anew. */
const AGAIN_MS = 1_500;
const AGAIN_LOOKS = 3;
const SIDE_MAX = 1_280;
const VIDEO = { facingMode: "environment", width: { ideal: 1_920 }, height: { ideal: 1_080 } };
const WHY_NOT = {
  NotAllowedError: () => t("The camera is not allowed for this page. Allow it in the browser’s settings of the site."),
  NotFoundError: () => t("This device has no camera."),
  NotReadableError: () => t("Another app is using the camera."),
};

/** Sends `scanned` with { text, aim }, and `left` when it is put away. */
export class Camera extends Part {
  static properties = { problem: { state: true }, light: { state: true } };
  video = createRef();
  #seen = new Map();

  async connectedCallback() {
    super.connectedCallback();
    this.worker = new Worker(new URL("reader.js", import.meta.url), { type: "module" });
    this.worker.addEventListener("message", ({ data }) => this.#found(data.found));
    this.worker.addEventListener("error", () => (this.problem = t("The reader of bar codes could not be started. Reload the page.")));
    try {
      if (!navigator.mediaDevices) throw new DOMException("", "NotFoundError");
      this.stream = await navigator.mediaDevices.getUserMedia({ video: VIDEO });
    } catch (error) {
      this.problem = WHY_NOT[error.name]?.() ?? t("The camera could not be started: {reason}", { reason: error.message });
      return;
    }
    if (!this.isConnected) return this.#stop();
    await this.updateComplete;
    this.video.value.srcObject = this.stream;
    await this.video.value.play().catch(() => {}); // put away meanwhile
    this.light = this.#track().getCapabilities?.().torch ? "off" : undefined;
    this.#look();
  }

  disconnectedCallback() {
    super.disconnectedCallback();
    this.#stop();
  }

  render() {
    return html`
      <div class="camera">
        ${this.problem ? html`<p class="problem" role="alert">${this.problem}</p>` : html`<video muted playsinline aria-label=${t("What the camera sees")} ${ref(this.video)}></video>`}
        <p class="actions">
          ${this.light ? html`<button class="button" aria-pressed=${String(this.light === "on")} @click=${this.switchLight}>${t("Light")}</button>` : nothing}
          <button class="button" @click=${() => this.dispatchEvent(new Event("left"))}>${t("Put the camera away")}</button>
        </p>
      </div>`;
  }

  async switchLight() {
    this.light = this.light === "on" ? "off" : "on";
    await this.#track().applyConstraints({ advanced: [{ torch: this.light === "on" }] });
  }

  #track() {
    return this.stream.getVideoTracks()[0];
  }

  /** Sends the worker a picture; the answer asks for the next one. */
  #look() {
    const video = this.video.value;
    if (!this.isConnected || !video) return;
    const scale = Math.min(1, SIDE_MAX / Math.max(video.videoWidth, video.videoHeight));
    const [width, height] = [Math.round(video.videoWidth * scale), Math.round(video.videoHeight * scale)];
    if (!width || document.hidden) {
      setTimeout(() => this.#look(), LOOK_MS);
      return;
    }
    this.canvas ??= document.createElement("canvas");
    Object.assign(this.canvas, { width, height });
    const context = this.canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(video, 0, 0, width, height);
    const picture = context.getImageData(0, 0, width, height);
    this.worker.postMessage({ picture }, [picture.data.buffer]);
  }

  #found(codes) {
    const at = performance.now();
    for (const code of codes) {
      const isNew = !this.#seen.has(code.text);
      this.#seen.set(code.text, { at, looks: 0 });
      if (isNew) this.dispatchEvent(new CustomEvent("scanned", { detail: code }));
    }
    for (const [text, seen] of this.#seen) {
      if (seen.at === at) continue;
      seen.looks += 1;
      if (seen.looks >= AGAIN_LOOKS && at - seen.at > AGAIN_MS) this.#seen.delete(text);
    }
    setTimeout(() => this.#look(), LOOK_MS);
  }

  #stop() {
    this.worker?.terminate();
    for (const track of this.stream?.getTracks() ?? []) track.stop();
  }
}
define("van-camera", Camera);
