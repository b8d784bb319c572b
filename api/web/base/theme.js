// Light, dark, as the system has it, or made for a windscreen in the sun. Set before anything is drawn.

import { t } from "./i18n.js";

const KEPT = "cordee.theme";

export const THEMES = {
  auto: () => t("As the system"),
  light: () => t("Light"),
  dark: () => t("Dark"),
  sunlight: () => t("Sunlight"),
};

export const theme = () => {
  const kept = localStorage.getItem(KEPT);
  return kept in THEMES ? kept : "auto";
};

/** Shows the page so, and remembers it. */
export function wear(name) {
  localStorage.setItem(KEPT, name);
  apply();
}

function apply() {
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const chosen = theme();
  document.documentElement.dataset.theme = chosen === "auto" ? (dark ? "dark" : "light") : chosen;
  document.dispatchEvent(new CustomEvent("cordee-theme"));
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", apply);
apply();
