// The tree larger and smaller: by buttons, by + - 0 in the tree, and by the wheel with Ctrl.

const FACTORS = [0.35, 0.5, 0.7, 1, 1.4, 2, 2.8, 4];
const ZOOMS = { "+": () => zoomBy(1), "=": () => zoomBy(1), "-": () => zoomBy(-1), 0: () => zoomTo(1) };

function setUpZoom() {
  byId("zoom-in").addEventListener("click", () => zoomBy(1));
  byId("zoom-out").addEventListener("click", () => zoomBy(-1));
  byId("zoom-fit").addEventListener("click", () => zoomTo(fitting()));
  byId("canvas").addEventListener("wheel", (event) => {
    if (!event.ctrlKey) return;
    event.preventDefault(); // or the browser would zoom the whole page
    zoomBy(event.deltaY < 0 ? 1 : -1, event);
  }, { passive: false });
}

// The largest factor at which the whole group is seen.
function fitting() {
  const tree = treeOf();
  if (!tree) return 1;
  const room = 660 / (tree.completions.sample.length * rowHeight(tree.completions.sample.length));
  return FACTORS.filter((factor) => factor <= Math.min(1, room)).at(-1) ?? FACTORS[0];
}

function zoomBy(steps, event) {
  const at = FACTORS.indexOf(drawn.zoom);
  zoomTo(FACTORS[Math.min(FACTORS.length - 1, Math.max(0, at + steps))], event);
}

// What is under the pointer, or in the middle, stays where it is.
function zoomTo(factor, event) {
  const tree = treeOf();
  if (!tree || factor === drawn.zoom) return;
  const before = byId("canvas").firstChild, box = before.getBoundingClientRect();
  const x = event ? event.clientX - box.left : box.width / 2, y = event ? event.clientY - box.top : box.height / 2;
  const part = { x: (before.scrollLeft + x) / before.scrollWidth, y: (before.scrollTop + y) / before.scrollHeight };
  drawn.zoom = factor;
  drawTree(tree);
  const after = byId("canvas").firstChild;
  after.scrollLeft = part.x * after.scrollWidth - x;
  after.scrollTop = part.y * after.scrollHeight - y;
  byId("zoom-says").textContent = `${Math.round(100 * factor)} %`;
  byId("zoom-in").disabled = factor === FACTORS.at(-1);
  byId("zoom-out").disabled = factor === FACTORS[0];
}
