// Two completions of a group side by side: what they begin with alike is folded, the rest is compared word by word.

const pair = { group: null, left: 0, right: 0 };

function showDiff(tree) {
  if (pair.group !== tree.group) Object.assign(pair, { group: tree.group, ...pairOf(tree) });
  const { sample, reward } = tree.completions;
  const options = (chosenRow) => sample.map((one, row) => [one, row]).sort((a, b) => a[0] - b[0])
    .map(([one, row]) => make("option", { value: row, selected: row === chosenRow }, `#${one}, reward ${number(reward[row])}`));
  const pick = (side) => make("select", { id: `diff-${side}`, "aria-label": `Completion at the ${side}`, on: { change: (event) => {
    pair[side] = Number(event.target.value);
    showDiff(tree);
    byId(`diff-${side}`).focus();
  } } }, options(pair[side]));
  byId("diff").replaceChildren(
    make("div", { class: "controls" }, make("label", {}, "Left ", pick("left")), make("label", {}, "Right ", pick("right"))),
    ...(tree.textFrom === "none" || tree.textFrom === "withheld" ? [make("p", { class: "note" }, "There is no text to compare.")] : compared(tree)));
}

// The best and the worst reward where they differ; else the first two.
function pairOf(tree) {
  const { reward } = tree.completions;
  const rows = reward.map((_, row) => row).filter((row) => reward[row] !== null);
  const left = rows.reduce((best, row) => (reward[row] > reward[best] ? row : best), rows[0] ?? 0);
  const right = rows.reduce((worst, row) => (reward[row] < reward[worst] ? row : worst), rows[0] ?? 0);
  return reward[left] === reward[right] ? { left: 0, right: Math.min(1, reward.length - 1) } : { left, right };
}

function compared(tree) {
  const { left, right } = pair, { sample } = tree.completions, { lengths } = shape(tree);
  const both = new Set(pathOf(tree, right)), begun = pathOf(tree, left).filter((n) => both.has(n) && lengths[n]);
  const after = (row) => pathOf(tree, row).filter((n) => !begun.includes(n) && lengths[n]).flatMap((n) => wordsOf(textOf(tree, n)));
  const words = [after(left), after(right)];
  const shared = begun.reduce((sum, n) => sum + lengths[n], 0);
  const fold = make("details", { class: "begun" },
    make("summary", {}, shared ? `Both begin with the same ${amount(shared, UNIT)}` : `They part at the first ${UNIT}`),
    make("pre", { class: "text", tabindex: 0, "aria-label": "What both begin with" }, begun.flatMap((n) => written(textOf(tree, n)))));
  const runs = wordDiff(words[0].map(keyOf), words[1].map(keyOf));
  const placed = [0, 0];
  const columns = runs ? [side(runs, "left", words[0], placed), side(runs, "right", words[1], placed)] : words;
  return [fold, make("p", { class: "quiet", id: "diff-says" }, countsOf(runs, sample[left], sample[right])),
    make("div", { class: "pair" }, columns.map((column, at) => diffColumn(tree, at ? right : left, column, at)))];
}

function diffColumn(tree, row, column, at) {
  const { sample, reward, tokens } = tree.completions, other = reward[at ? pair.left : pair.right];
  const rank = reward[row] > other ? "better" : reward[row] < other ? "worse" : null;
  return make("div", { class: rank }, make("h3", {}, `#${sample[row]}: reward ${number(reward[row])}, ${amount(tokens[row], UNIT)} `, rank ? make("span", { class: `badge ${rank === "better" ? "best" : "worst"}` }, rank) : ""),
    make("pre", { class: "text", tabindex: 0, "aria-label": `Completion ${sample[row]} from where the two part` }, column));
}

// Words of a text; what was left out of this page is one word of its own.
function wordsOf(text) {
  if (!Array.isArray(text)) return text.match(WORD) ?? [];
  const [head, missing, tail, what] = text;
  return [...(head.match(WORD) ?? []), make("span", { class: "left-out" }, `${amount(missing, what ?? "character")} left out of this page`), ...(tail.match(WORD) ?? [])];
}

const keyOf = (word) => (typeof word === "string" ? word : {}); // a gap is equal to nothing

function side(runs, which, words, placed) {
  const at = which === "left" ? 0 : 1;
  return runs.filter((run) => run.in === "both" || run.in === which).map((run) => {
    const own = words.slice(placed[at], placed[at] + run.words.length);
    placed[at] += run.words.length;
    return run.in === "both" ? make("span", { class: "both" }, own) : make("mark", { class: which }, own);
  });
}

function countsOf(runs, left, right) {
  if (!runs) return `They differ in more than ${MOST_EDITS.toLocaleString("en-US")} words: shown beside each other, but not compared word by word.`;
  const count = (where) => runs.filter((run) => run.in === where).flatMap((run) => run.words).filter((word) => typeof word !== "string" || word.trim()).length;
  if (!count("left") && !count("right")) return "From there on they are equal.";
  return `From there on ${amount(count("both"), "word")} in both, ${number(count("left"))} only in #${left}, ${number(count("right"))} only in #${right}.`;
}
