// Where the focus is, and what can be seen of it: put into a page by tests/browser/focus.py.

(() => {
  const CAN = "a[href], button, input, select, textarea, summary, iframe, [tabindex], [contenteditable]";

  /** What is drawn of a field: itself, or its label where the field is hidden beneath it. */
  const drawn = (element) => (element.matches(".unseen") ? element.labels[0] : element);

  const nameOf = (element) => {
    const said = element.ariaLabel ?? element.labels?.[0]?.innerText ?? element.innerText ?? "";
    const id = element.id ? `#${element.id}` : element.className && typeof element.className === "string" ? `.${element.className.trim().split(/\s+/).join(".")}` : "";
    return `<${element.localName}${id}> ${said.trim().split("\n")[0].slice(0, 40)}`;
  };

  /** All that Tab has to come to; of radio buttons of one name, one. */
  const all = () => {
    const groups = new Set();
    return [...document.querySelectorAll(CAN)].filter((element) => {
      if (element.tabIndex < 0 || element.disabled || element.type === "hidden" || !element.checkVisibility({ visibilityProperty: true })) return false;
      if (element.type !== "radio") return true;
      const group = `${element.form?.id}/${element.name}`;
      return !groups.has(group) && groups.add(group);
    });
  };

  const looks = (element) => {
    const { outlineStyle, outlineWidth, outlineColor, boxShadow, borderColor } = getComputedStyle(drawn(element));
    const outline = outlineStyle === "none" || outlineWidth === "0px" ? "" : `${outlineStyle} ${outlineWidth} ${outlineColor}`;
    return `${outline}|${boxShadow}|${borderColor}`;
  };

  /** What an element is cut off by: the window, and each box around it that scrolls or hides. */
  const window_ = () => ({ left: 0, top: 0, right: document.documentElement.clientWidth, bottom: innerHeight });
  const cut = (a, b) => ({ left: Math.max(a.left, b.left), top: Math.max(a.top, b.top), right: Math.min(a.right, b.right), bottom: Math.min(a.bottom, b.bottom) });
  const clip = (element) => {
    let box = window_();
    for (let around = element.parentElement; around && around !== document.body; around = around.parentElement) {
      const style = getComputedStyle(around);
      if (style.overflow !== "visible") {
        const { left, top } = around.getBoundingClientRect();
        const inner = { left: left + around.clientLeft, top: top + around.clientTop };
        box = cut(box, { ...inner, right: inner.left + around.clientWidth, bottom: inner.top + around.clientHeight });
      }
      if (style.position === "fixed") break;
    }
    return box;
  };

  /** How many of the four sides of the outline can be seen. */
  const sides = (element) => {
    const seen = drawn(element);
    const style = getComputedStyle(seen);
    if (style.outlineStyle === "none") return 4;
    const by = parseFloat(style.outlineOffset) + parseFloat(style.outlineWidth);
    const { left, top, right, bottom } = seen.getClientRects()[0];
    const within = clip(seen);
    return [left - by >= within.left - 1, top - by >= within.top - 1, right + by <= within.right + 1, bottom + by <= within.bottom + 1].filter(Boolean).length;
  };

  /** What lies over the middle of what can be seen of an element: nothing, or its name. */
  const over = (element) => {
    const seen = drawn(element);
    const box = cut(seen.getClientRects()[0], clip(seen));
    if (box.right - box.left < 1 || box.bottom - box.top < 1) return "it is out of sight";
    const top = document.elementFromPoint((box.left + box.right) / 2, (box.top + box.bottom) / 2);
    return top && (seen.contains(top) || top.contains(seen)) ? "" : top ? nameOf(top) : "nothing";
  };

  const focus = { expected: [], visited: [], before: null };

  focus.begin = () => {
    document.activeElement?.blur?.();
    Object.assign(focus, { expected: all(), visited: [], before: null });
  };

  /** Looks at where a key has brought the focus; `faults` is what is wrong with it. */
  focus.look = () => {
    const faults = [];
    const { before } = focus;
    const element = document.activeElement;
    if (before?.element.isConnected && before.element !== element && looks(before.element) === before.looks) faults.push(`${nameOf(before.element)} looks as if it had no focus`);
    focus.before = null;
    // Between the last and the first stands the page as a whole.
    if (!element || element === document.body || element === document.documentElement) return { over: false, faults };
    if (focus.visited.includes(element)) return { over: true, faults };
    focus.visited.push(element);
    focus.before = { element, looks: looks(element) };
    const what = over(element);
    if (what) faults.push(`${nameOf(element)} is behind ${what}`);
    if (sides(element) < 3) faults.push(`${nameOf(element)}: its outline is cut off`);
    return { over: false, faults };
  };

  /** What Tab never came to, though it was there all the time. */
  focus.missed = () => {
    const group = (element) => (element.type === "radio" ? element.name : null);
    const came = (element) => focus.visited.some((one) => one === element || (group(element) && group(one) === group(element)));
    const still = new Set(all());
    return focus.expected.filter((element) => still.has(element) && !came(element)).map(nameOf);
  };

  globalThis.focusSeen = focus;
})();
