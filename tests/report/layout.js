// Faults of what is seen: text under 11 pixels as drawn, text that is cut off, text or controls that lie over one another.
(meant) => {
  const faults = [], said = (e, text) => `${e.tagName.toLowerCase()}${e.id ? `#${e.id}` : ""}.${e.getAttribute("class") ?? ""} "${text.trim().slice(0, 40)}"`;
  const style = (e) => getComputedStyle(e);
  const up = (e) => { const all = []; for (let at = e; at; at = at.parentElement) all.push(at); return all; };
  const overlap = (a, b) => ({ left: Math.max(a.left, b.left), right: Math.min(a.right, b.right), top: Math.max(a.top, b.top), bottom: Math.min(a.bottom, b.bottom) });
  const seen = ({ left, right, top, bottom }) => right - left > 1 && bottom - top > 1;
  const layer = (e) => up(e).find((at) => ["sticky", "fixed"].includes(style(at).position)) ?? null;

  // What is left of a box inside of the elements that clip it, and the first that clips it for good.
  const clipped = (e, box) => {
    let left = box, by = null;
    for (const at of up(e).slice(0, -1)) {
      const { overflowX, overflowY, position } = style(at);
      if (overflowX !== "visible" || overflowY !== "visible") {
        const edge = at.getBoundingClientRect(), rest = overlap(left, edge);
        const hides = ["hidden", "clip"].includes(overflowX) && (left.right > edge.right + 1.5 || left.left < edge.left - 1.5)
          || ["hidden", "clip"].includes(overflowY) && (left.bottom > edge.bottom + 1.5 || left.top < edge.top - 1.5);
        if (hides) by ??= at;
        left = rest;
      }
      if (position === "fixed") break;
    }
    return { left, by };
  };

  const things = [];
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const node = texts.currentNode, e = node.parentElement;
    if (!node.data.trim() || !e.checkVisibility({ visibilityProperty: true }) || e.closest("script, style, option, .hidden, .skip, noscript, title")) continue;
    const scale = e instanceof SVGElement ? e.getScreenCTM().a : 1;
    if (parseFloat(style(e).fontSize) * scale < 10.99) faults.push(`small: ${said(e, node.data)} ${(parseFloat(style(e).fontSize) * scale).toFixed(1)}`);
    const range = document.createRange();
    range.selectNodeContents(node);
    for (const box of range.getClientRects()) {
      if (!seen(box)) continue;
      const { left, by } = clipped(e, box);
      if (by && !e.closest(meant)) faults.push(`cut: ${said(e, node.data)} by ${said(by, "")}`);
      if (seen(left)) things.push({ e, node, box: left, layer: layer(e), text: node.data });
    }
  }
  for (const e of document.querySelectorAll("button, select, input")) {
    const look = style(e), paints = look.borderTopWidth !== "0px" || !/, 0\)$|^transparent/.test(look.backgroundColor);
    if (!paints || !e.checkVisibility({ visibilityProperty: true })) continue;
    const { left } = clipped(e, e.getBoundingClientRect());
    if (seen(left)) things.push({ e, node: null, box: left, layer: layer(e), text: e.id });
  }
  things.sort((a, b) => a.box.top - b.box.top);
  things.forEach((one, n) => {
    for (let m = n + 1; m < things.length && things[m].box.top < one.box.bottom; m += 1) {
      const other = things[m], both = overlap(one.box, other.box);
      if (one.layer !== other.layer || one.node && one.node === other.node || one.e !== other.e && (one.e.contains(other.e) || other.e.contains(one.e))) continue;
      if (one.e === other.e && (!one.node || !other.node)) continue;
      // Boxes of text are higher than their letters: lines may touch.
      const least = one.node && other.node ? 4 : 2;
      if (both.right - both.left > 2 && both.bottom - both.top > least) faults.push(`over: ${said(one.e, one.text)} and ${said(other.e, other.text)}`);
    }
  });
  if (document.documentElement.scrollWidth > innerWidth) faults.push(`wide: ${document.documentElement.scrollWidth}`);
  return [...new Set(faults)];
}
