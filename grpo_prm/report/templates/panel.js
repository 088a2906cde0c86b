// One process step read in full.

// Whether the range of R(λ) is wider than the rewards of its group and Student's, which has R in its middle; Wilson's,
// of two rewards, stays between these, and is wider than equal rewards on one side alone.
function passes(tree, n) {
  const { reward, low, high } = tree.steps;
  const known = tree.completions.reward.filter((r) => r !== null);
  const rounding = 1e-3 * (high[n] - low[n]);
  const middle = Math.abs(high[n] - reward[n] - (reward[n] - low[n])) < rounding;
  return middle && (low[n] < Math.min(...known) - rounding || high[n] > Math.max(...known) + rounding);
}

function showPanel(tree) {
  const panel = byId("panel");
  const { count, k, given, marks, members, lengths, most } = shape(tree);
  const n = chosen.process;
  if (n === null || n < 0 || n >= count) {
    panel.replaceChildren(make("h3", {}, "Process step"), make("p", { class: "quiet" }, "Choose a box of the tree to read its text, its members and its reward."));
    return;
  }
  const { size, start, end, reward, low, high, tokens, unique } = tree.steps;
  const range = low[n] === null ? "" : ` [${number(low[n])}, ${number(high[n])}]`;
  const masked = unique[n] === lengths[n] ? "" : `, ${number(unique[n])} of them in the loss`;
  const swatch = make("span", { class: "swatch", style: painted(given[n], most) }, given[n] === null && lengths[n] ? "none: out of the loss" : signed(given[n]));
  const parts = Object.entries(tree.completions.parts);
  const rows = members(n).map((row) => {
    const { sample, reward: r, advantage: a, tokens: t, truncated } = tree.completions;
    return [`#${sample[row]}`, number(r[row]), signed(a[row]), number(t[row]) + (truncated[row] ? " (truncated)" : ""), ...parts.map(([, values]) => number(values[row]))];
  });
  const kind = size[n] === k ? "Root" : size[n] > 1 ? "Intermediate step" : "Terminal step";
  panel.replaceChildren(
    crumbs(tree, n),
    make("h3", {}, `${kind}: |λ| = ${size[n]} of ${k}`),
    facts([[term("R(λ)", "step reward R(λ)"), `${number(reward[n])}${range}`], [term("A(λ)", "step advantage A(λ)"), swatch],
      [`${UNIT}s`, `${number(lengths[n])}${masked}`], ["in all members", number(tokens[n])],
      ["positions", lengths[n] ? `${number(start[n] + 1)} to ${number(end[n])}` : "none"]]),
    range && passes(tree, n) ? make("p", { class: "quiet" }, "Its range is by Student's t, which can pass the largest or the smallest reward.") : "",
    marks[n] ? make("p", { class: "note" }, explain(tree, n)) : "",
    make("pre", { class: "text", tabindex: 0, "aria-label": "Text of the step" }, lengths[n] ? written(textOf(tree, n)) : "(no token is shared by all)"),
    make("h3", {}, "Members"),
    make("div", { class: "sideways", tabindex: 0, role: "region", "aria-label": "Members: table" }, tableOf("Members of the step", ["completion", "reward", "advantage", `${UNIT}s`, ...parts.map(([name]) => `reward/${name}`)], rows)),
    tree.ids && tree.texts[n] !== null ? make("p", { class: "ids" }, `Token ids: ${tree.ids[n].join(" ")}${lengths[n] > tree.ids[n].length ? ` and ${number(lengths[n] - tree.ids[n].length)} more` : ""}`) : "",
    Array.isArray(tree.texts[n]) ? make("p", { class: "ids" }, "The whole text: ", make("code", {}, tree.command)) : "",
  );
}

function explain(tree, n) {
  const { marks, members } = shape(tree);
  const good = marks[n] === "suppressed good";
  const some = tree.steps.opposed[n];
  return good
    ? `Suppressed good: ${some} of its ${amount(members(n).length, "member")} ${some === 1 ? "is" : "are"} better than the mean of the group, and GRPO pushes the step down.`
    : `Boosted bad: ${some} of its ${amount(members(n).length, "member")} ${some === 1 ? "is" : "are"} worse than the mean of the group, and GRPO raises the step.`;
}

function crumbs(tree, n) {
  const path = [];
  for (let at = n; at >= 0; at = tree.steps.parent[at]) path.unshift(at);
  const items = path.map((at) => {
    const words = tree.steps.parent[at] < 0 ? "root" : opening(textOf(tree, at), 18) || "…";
    return make("li", {}, at === n ? make("span", { "aria-current": "step" }, words) : make("button", { type: "button", on: { click: () => select(at) } }, words));
  });
  return make("nav", { class: "crumbs", "aria-label": "Path to this step" }, make("ol", {}, items));
}
