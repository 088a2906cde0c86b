// Mean rewards of the groups as bars, which choose a range of them.

const BARS = 24; // more different mean rewards than this are put in 20 bins of one width
const BINS = binned();

// Bins of the mean reward: each value if there are few, else 20 of one width. `of` gives the bin of a row, -1 without.
function binned() {
  const rewards = ROWS.map(OF.reward);
  const values = [...new Set(rewards.filter((reward) => reward !== null))].sort((a, b) => a - b);
  if (!values.length) return { bars: [], of: () => -1 };
  if (values.length <= BARS) {
    const at = new Map(values.map((value, bin) => [value, bin]));
    return { bars: values.map((value) => ({ low: value, high: value, says: number(value) })), of: (row) => at.get(rewards[row]) ?? -1 };
  }
  const low = values[0], width = (values.at(-1) - low) / 20;
  const bars = Array.from({ length: 20 }, (_, bin) => {
    const from = low + bin * width, to = bin === 19 ? values.at(-1) : low + (bin + 1) * width;
    return { low: from, high: to, says: `${number(from)} to ${number(to)}` };
  });
  return { bars, of: (row) => (rewards[row] === null ? -1 : Math.min(19, Math.floor((rewards[row] - low) / width))) };
}

function setUpHistogram() {
  if (!BINS.bars.length) byId("histogram-block").replaceChildren(make("p", { class: "quiet" }, "The log has no rewards: there is no histogram of them."));
  else byId("histogram").append(...BINS.bars.map(bar));
}

function bar({ low, says }, bin) {
  const some = bin % Math.ceil(BINS.bars.length / 5) === 0; // has its tick
  const parts = [make("span", { class: "bar" }, make("span", { class: "part-bar" })), make("span", { class: "tick", "aria-hidden": "true" }, some ? number(low) : "")];
  return make("button", { type: "button", "aria-pressed": "false", "data-range": says, on: { click: () => press(bin) } }, parts);
}

const pressed = (bin, range = rangeOf(chosen.reward)) => chosen.reward !== null && inside(BINS.bars[bin].low, range) && inside(BINS.bars[bin].high, range);

// A bar outside of the range is taken into it; one inside is left alone; the only one is let go.
function press(bin) {
  const on = BINS.bars.map((_, n) => n).filter((n) => pressed(n));
  const some = !on.length ? [bin] : on.includes(bin) ? (on.length > 1 ? [bin] : []) : [Math.min(bin, on[0]), Math.max(bin, on.at(-1))];
  choose({ reward: some.length ? `${BINS.bars[some[0]].low}..${BINS.bars[some.at(-1)].high}` : null });
}

function showHistogram() {
  if (!BINS.bars.length) return;
  const count = (some) => {
    const counts = new Array(BINS.bars.length).fill(0);
    for (const row of some) if (BINS.of(row) >= 0) counts[BINS.of(row)] += 1;
    return counts;
  };
  const all = count(ROWS), here = count(letThrough("reward")), most = Math.max(...all);
  [...byId("histogram").children].forEach((button, bin) => {
    button.setAttribute("aria-pressed", String(pressed(bin)));
    button.setAttribute("aria-label", `mean reward ${button.dataset.range}: ${amount(here[bin], "group")}`);
    button.title = `${button.dataset.range}: ${here[bin].toLocaleString("en-US")} of ${amount(all[bin], "group")}`;
    const whole = button.firstChild;
    whole.style.height = `${all[bin] ? Math.max(2, (all[bin] / most) * 64) : 0}px`;
    whole.firstChild.style.height = `${all[bin] ? (100 * here[bin]) / all[bin] : 0}%`;
  });
}
