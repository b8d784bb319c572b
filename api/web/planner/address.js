// What the address says of this page: what is chosen, and which vans are shown. Pure.
//
// One thing is chosen at a time, and all panes show it; the rest follows from it (a stop has a van, an
// alert a stop). `#stop=4711&show=late` is a place that one can go back to, keep or send to a colleague.

/** What can be chosen. */
export const KINDS = ["alert", "stop", "van", "site"];

/** What is chosen, `{ kind, id }` or null, and the filter `show`, or null. */
export function parsed(hash) {
  const said = new URLSearchParams(hash.replace(/^#/, ""));
  const kind = KINDS.find((name) => said.get(name));
  return { chosen: kind ? { kind, id: said.get(kind) } : null, show: said.get("show") || null };
}

export function written({ chosen, show }) {
  const said = new URLSearchParams();
  if (chosen) said.set(chosen.kind, chosen.id);
  if (show) said.set("show", show);
  return said.size ? `#${said}` : "";
}

export const isSame = (a, b) => a?.kind === b?.kind && a?.id === b?.id;
