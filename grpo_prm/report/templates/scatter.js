// Reward against length: each completion of the group over the cells of the whole log; and the parts of the reward.

const PLOT = { width: 560, height: 250, left: 52, digit: 7.4, right: 14, top: 30, bottom: 40 };
const THICK = 26; // pixels of a row of cells at most, where each reward has its own

function showScatter(tree, room = byId("scatter").clientWidth) {
  const { reward, tokens } = tree.completions;
  const some = reward.some((value) => value !== null);
  byId("scatter").hidden = !some || !DATA.lengths;
  if (some && DATA.lengths) byId("scatter-plot").replaceChildren(...scatter(tree, room));
  byId("parts").replaceChildren(...partsOf(tree, tokens));
}

function scatter(tree, room) {
  PLOT.width = Math.min(720, Math.max(280, room)); // letters keep their size
  const { sample, reward, tokens } = tree.completions, { length, reward: up, counts, correlation, completions } = DATA.lengths;
  const rewards = up.values ?? ticksOf(up.low, up.high, 4);
  PLOT.left = Math.max(52, 10 + PLOT.digit * Math.max(...rewards.map((value) => number(value).length)));
  const x = (value) => PLOT.left + ((value - length.low) / (length.high - length.low)) * (PLOT.width - PLOT.left - PLOT.right);
  const y = (value) => PLOT.height - PLOT.bottom - ((value - up.low) / (up.high - up.low)) * (PLOT.height - PLOT.top - PLOT.bottom);
  const most = Math.max(...counts.map(([, , count]) => count));
  const edge = (axis, n) => axis.low + (n * (axis.high - axis.low)) / axis.cells;
  const high = Math.min(y(up.low) - y(edge(up, 1)), up.values ? THICK : Infinity);
  const cells = counts.map(([a, b, count]) => draw("rect", {
    class: "cell-of-log", x: x(edge(length, a)), width: x(edge(length, a + 1)) - x(edge(length, a)) + 0.3,
    y: y(edge(up, b + 0.5)) - high / 2, height: high, "fill-opacity": 0.12 + 0.68 * Math.sqrt(count / most),
  }, draw("title", {}, `${amount(count, "completion")} of ${UNIT}s ${number(Math.ceil(edge(length, a)))} to ${number(Math.ceil(edge(length, a + 1)) - 1)}`)));
  const rows = sample.map((_, row) => row).filter((row) => reward[row] !== null);
  const dots = rows.map((row) => draw("circle", { class: "of-group", cx: x(tokens[row]), cy: y(reward[row]), r: rows.length > 40 ? 3.5 : 5, on: { click: () => choose({ completion: sample[row] }) } },
    draw("title", {}, `#${sample[row]}: reward ${number(reward[row])}, ${amount(tokens[row], UNIT)}`)));
  const own = pearson(rows.map((row) => tokens[row]), rows.map((row) => reward[row]));
  const said = (value, where) => (value === null ? `none ${where}, where one of the two does not vary` : `${signed(value)} ${where}`);
  const says = `Correlation of reward with length: ${said(own, "in this group")}; ${said(correlation, `over the ${amount(completions, "completion")} of the log`)}.`;
  const picture = draw("svg", { viewBox: `0 0 ${PLOT.width} ${PLOT.height}`, role: "img", "aria-label": says, class: "scatter" },
    cells, ticksOf(length.low, length.high, 5).map((value) => axisTick(value, x(value), true)), rewards.map((value) => axisTick(value, y(value), false)),
    draw("text", { x: (PLOT.left + PLOT.width) / 2, y: PLOT.height - 6, "text-anchor": "middle" }, `${UNIT}s in the loss`),
    draw("text", { x: 4, y: 16 }, "reward"), dots);
  return [make("p", {}, says), picture, make("p", { class: "legend" }, make("span", {}, draw("svg", { width: 12, height: 12, "aria-hidden": "true" }, draw("circle", { class: "of-group", cx: 6, cy: 6, r: 5 })), "a completion of this group (a click follows it)"),
    make("span", {}, draw("svg", { width: 14, height: 12, "aria-hidden": "true" }, draw("rect", { class: "cell-of-log", width: 14, height: 12, "fill-opacity": 0.8 })), `the whole log, up to ${amount(most, "completion")} in a cell`))];
}

function axisTick(value, at, along) {
  return along ? draw("g", {}, draw("line", { class: "axis", x1: at, x2: at, y1: PLOT.height - PLOT.bottom, y2: PLOT.height - PLOT.bottom + 4 }),
    draw("text", { x: at, y: PLOT.height - PLOT.bottom + 16, "text-anchor": "middle" }, number(value)))
    : draw("g", {}, draw("line", { class: "axis", x1: PLOT.left - 4, x2: PLOT.width - PLOT.right, y1: at, y2: at }),
      draw("text", { x: PLOT.left - 8, y: at + 4, "text-anchor": "end" }, number(value)));
}

// Round numbers within a range, about so many.
function ticksOf(low, high, about) {
  const rough = (high - low) / about, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find((one) => one * power >= rough) * power;
  const made = [];
  for (let n = Math.ceil(low / step); n * step <= high + 1e-9 * step; n += 1) made.push(Number((n * step).toPrecision(12)));
  return made;
}

function pearson(xs, ys) {
  const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const mx = mean(xs), my = mean(ys);
  const sums = xs.reduce(([xy, xx, yy], x, n) => [xy + (x - mx) * (ys[n] - my), xx + (x - mx) ** 2, yy + (ys[n] - my) ** 2], [0, 0, 0]);
  return sums[1] > 1e-12 && sums[2] > 1e-12 ? sums[0] / Math.sqrt(sums[1] * sums[2]) : null;
}

// Each part of the reward: its mean in this group among those of the other groups with text.
function partsOf(tree) {
  if (!DATA.parts) return [];
  const at = DATA.parts.group.indexOf(tree.group);
  const rows = DATA.parts.parts.map(({ name, means }) => {
    const known = means.filter((value) => value !== null), here = at < 0 ? null : means[at];
    return [name, number(here), strip(known, here, name), `${number(Math.min(...known))} to ${number(Math.max(...known))}`];
  });
  return [make("h3", {}, "Reward parts"), make("p", { class: "quiet" }, `Mean of each part in this group (large dot) among the ${amount(DATA.parts.group.length, "group")} whose text was kept (small dots).`),
    make("div", { class: "sideways", tabindex: 0, role: "region", "aria-label": "Reward parts: table" }, tableOf("Reward parts", ["part", "this group", "over groups", "range over groups"], rows))];
}

function strip(values, here, name) {
  const low = Math.min(...values), high = Math.max(...values), span = high - low || 1;
  const x = (value) => 8 + (184 * (value - low)) / span;
  return draw("svg", { viewBox: "0 0 200 20", role: "img", "aria-label": `${name}: ${number(here)} between ${number(low)} and ${number(high)}`, class: "strip-plot" },
    values.map((value) => draw("circle", { class: "of-log", cx: x(value), cy: 10, r: 2.5 })), here === null ? null : draw("circle", { class: "of-group", cx: x(here), cy: 10, r: 6 }));
}
