// Building and changing elements. Text only ever goes in as text: nothing here reads HTML.

const SVG = "http://www.w3.org/2000/svg";

/** A new element with a class, text and children. */
export function element(tag, className = "", ...children) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  node.append(...children);
  return node;
}

/** A new SVG element with attributes. */
export function svg(tag, attributes = {}) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  return node;
}

/** Sets text only if it differs, so that nothing flickers and selections survive. */
export function setText(node, text) {
  const wanted = String(text);
  if (node.textContent !== wanted) node.textContent = wanted;
}

/** Two lines: what matters, and below it something smaller. */
export function setTwoLines(node, first, second) {
  if (node.childElementCount !== 2) {
    node.replaceChildren(element("span", "first"), element("span", "second"));
  }
  setText(node.firstChild, first);
  setText(node.lastChild, second ?? "");
}

/** A status, and below it something smaller. */
export function setStatusAndNote(node, token, shape, word, note) {
  if (node.childElementCount !== 2) {
    node.replaceChildren(element("span", "first"), element("span", "second"));
  }
  setStatus(node.firstChild, token, shape, word);
  setText(node.lastChild, note ?? "");
}

/** A status: always colour, shape and word. */
export function setStatus(node, token, shape, word) {
  const wanted = `${token}|${word}`;
  if (node.dataset.status === wanted) return;
  node.dataset.status = wanted;
  const icon = svg("svg", { class: "shape", "aria-hidden": "true" });
  icon.append(svg("use", { href: `#${shape}` }));
  const label = element("span", `status ${token}`);
  label.append(icon, element("span", "", word));
  node.replaceChildren(label);
}
