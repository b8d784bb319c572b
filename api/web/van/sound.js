// What a scan sounds and feels like, so that one need not look. Both can be off.

import { preferences } from "./preferences.js";

/** Tones as [Hz, ms], and how the device shakes. */
const SIGNALS = {
  good: { tones: [[1_320, 90]], shake: [60] },
  unknown: { tones: [[660, 110], [660, 110]], shake: [60, 60, 60] },
  bad: { tones: [[330, 160], [220, 260]], shake: [250] },
};
const LOUD = 0.25;

let context = null;

export function signal(name) {
  const on = preferences();
  if (on.vibration) navigator.vibrate?.(SIGNALS[name].shake);
  if (on.sound) play(SIGNALS[name].tones);
}

function play(tones) {
  context ??= new AudioContext();
  if (context.state === "suspended") context.resume(); // nobody has touched the page yet: silent
  let at = context.currentTime;
  for (const [hz, ms] of tones) {
    const [tone, loudness] = [context.createOscillator(), context.createGain()];
    tone.frequency.value = hz;
    loudness.gain.setValueAtTime(LOUD, at);
    loudness.gain.exponentialRampToValueAtTime(0.001, at + ms / 1_000);
    tone.connect(loudness).connect(context.destination);
    tone.start(at);
    tone.stop(at + ms / 1_000);
    at += ms / 1_000 + 0.04;
  }
}
