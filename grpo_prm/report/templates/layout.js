// Where the boxes of a tree stand, and their colours.

const LEAST = 15; // pixels of the narrowest box, so that a step of one token can be hit
const EMPTY = 7; // of a root that no token is in

// From pushed down to raised; told apart with any colour vision, and the same in light and dark.
const OUT = [205, 205, 205]; // out of the loss
const STOPS = [[166, 58, 0], [222, 120, 50], [246, 190, 146], [243, 241, 237], [158, 200, 230], [62, 142, 200], [0, 84, 145]];

function colour(value, most) {
  if (value === null) return OUT;
  const at = (most ? Math.max(-1, Math.min(1, value / most)) + 1 : 1) * 3;
  const from = Math.min(5, Math.floor(at));
  return STOPS[from].map((low, channel) => Math.round(low + (at - from) * (STOPS[from + 1][channel] - low)));
}

const css = (rgb) => `rgb(${rgb.join(" ")})`;

// Black or white, whichever is read better on a colour; one of them has a contrast of 4.5 on any.
function inkOn(rgb) {
  const [r, g, b] = rgb.map((c) => (c / 255 <= 0.03928 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.179 ? "#000000" : "#ffffff";
}

function painted(value, most) {
  const rgb = colour(value, most);
  return { background: css(rgb), color: inkOn(rgb) };
}

// What the page reads of a tree: depth, children, leaves, marks. Made once.
function shape(tree) {
  if (tree.shape) return tree.shape;
  const { parent, first, size, start, end, advantage, tokens } = tree.steps;
  const count = parent.length, k = tree.completions.sample.length;
  const depth = [], children = Array.from({ length: count }, () => []);
  for (let n = 0; n < count; n += 1) {
    depth.push(parent[n] < 0 ? 0 : depth[parent[n]] + 1);
    if (parent[n] >= 0) children[parent[n]].push(n);
  }
  for (const some of children) some.sort((a, b) => first[a] - first[b]);
  const members = (n) => Array.from({ length: size[n] }, (_, m) => first[n] + m);
  const mark = (n) => {
    if (!tree.steps.opposed[n]) return null;
    return advantage[n] < 0 ? "suppressed good" : "boosted bad";
  };
  // A step without a token in the loss, as a prompt or a tool's answer, gets no advantage, whatever its members have.
  const given = advantage.map((a, n) => (tokens[n] ? a : null));
  const most = DATA.scales.credit?.limit ?? 0; // of the whole log, so that a colour means the same in every group
  const marks = parent.map((_, n) => mark(n));
  const levels = [];
  depth.forEach((d, n) => (levels[d] ??= []).push(n));
  for (const level of levels) level.sort((a, b) => first[a] - first[b]);
  tree.shape = { count, k, given, depth, children, members, marks, most, levels, lengths: end.map((e, n) => e - start[n]) };
  return tree.shape;
}

// Left ends and widths in pixels: the longest path fills `width`, no box is narrower than LEAST.
function placed(tree, scale, width) {
  const { lengths } = shape(tree);
  const sizes = lengths.map((n) => (scale === "linear" ? n : Math.sqrt(n)));
  const place = (factor) => {
    const left = [], wide = [];
    let total = 0;
    sizes.forEach((size, n) => {
      const above = tree.steps.parent[n];
      left.push(above < 0 ? 0 : left[above] + wide[above]);
      wide.push(size ? Math.max(LEAST, factor * size) : EMPTY);
      total = Math.max(total, left[n] + wide[n]);
    });
    return { left, wide, total };
  };
  let low = 0, high = width;
  for (let turn = 0; turn < 40; turn += 1) {
    const middle = (low + high) / 2;
    if (place(middle).total <= width) low = middle;
    else high = middle;
  }
  return place(low);
}

// The steps on the path of a completion, given by its place in tree order.
function pathOf(tree, row) {
  const { first, size } = tree.steps;
  return first.map((_, n) => n).filter((n) => first[n] <= row && row < first[n] + size[n]);
}
