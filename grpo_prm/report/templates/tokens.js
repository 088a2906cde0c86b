// One completion, token by token: each has the colour of a measure, and says its values under the pointer or the focus.

const reading = { measure: "credit", tree: null, row: null, shown: null, units: [] };

// The completion that is followed; else the best one, since something is to be seen at once.
function readRow(tree) {
  const row = rowOfSample(tree);
  if (row >= 0) return row;
  const { reward } = tree.completions;
  return reward.reduce((best, value, at) => ((value ?? -Infinity) > (reward[best] ?? -Infinity) ? at : best), 0);
}

function measuresOf(tree, row) {
  return Object.keys(MEASURES).filter((name) => DATA.scales[name] && (name === "credit" || name === "local" || tree.tokens?.[name]?.[row]));
}

function showWhole(tree) {
  const row = readRow(tree), names = measuresOf(tree, row);
  const measure = names.includes(reading.measure) ? reading.measure : names[0] ?? "credit";
  if (reading.tree !== tree || reading.row !== row || reading.shown !== measure) {
    Object.assign(reading, { tree, row, shown: measure, units: unitsOf(tree, row) });
    drawWhole(tree, row, names, measure);
  }
  for (const unit of byId("whole").querySelectorAll("[data-unit]")) {
    unit.classList.toggle("chosen", reading.units[unit.dataset.unit].step === chosen.process);
  }
}

function drawWhole(tree, row, names, measure) {
  const { sample, reward, advantage } = tree.completions;
  const pick = make("select", { id: "measure", on: { change: (event) => { reading.measure = event.target.value; showWhole(tree); byId("measure").focus(); } } },
    names.map((name) => make("option", { value: name, selected: name === measure }, MEASURES[name].name)));
  const says = make("p", { id: "token-says", class: "token-says", role: "status" }, HINT);
  const point = (event) => {
    const unit = event.target.closest?.("[data-unit]");
    if (unit) says.replaceChildren(...saidOfUnit(tree, row, reading.units[unit.dataset.unit], Number(unit.dataset.token ?? -1)));
  };
  const text = make("div", { class: "text tokens", role: "group", "aria-label": `Completion ${sample[row]}, token by token`,
    on: { pointerover: point, focusin: point, keydown: walkTokens, click: (event) => {
      const unit = event.target.closest("[data-unit]");
      if (unit) choose({ process: reading.units[unit.dataset.unit].step });
    } } }, reading.units.flatMap((unit, at) => elementsOf(tree, row, unit, at, measure)));
  text.querySelector("[tabindex]")?.setAttribute("tabindex", "0");
  byId("whole").replaceChildren(make("div", { class: "whole" },
    make("h3", {}, `Completion #${sample[row]}: reward ${number(reward[row])}, advantage ${signed(advantage[row])}`),
    make("div", { class: "controls" }, make("label", {}, "Colour by ", pick), make("span", { class: "legend" }, scaleOf(measure),
      reading.units.some((unit) => unit.out) ? make("span", {}, make("span", { class: "swatch out" }, "grey"), "out of the loss") : "")),
    make("p", { class: "quiet" }, noteOf(tree, measure)), says, text));
}

const HINT = `Point at a ${UNIT}, or Tab to the text and use the arrow keys: its values are said here.`;

function noteOf(tree, measure) {
  const known = Boolean(tree.tokens?.lengths);
  const single = measure === "surprisal" || measure === "gap";
  const lost = tree.tokens?.left ? " The log-probabilities of this group have no room in this page." : "";
  if (known) return `Every ${UNIT} by itself. The scale is that of the whole log.${lost}`;
  if (tree.textFrom === "withheld") return `This page was made without texts: a stretch is a whole step.${lost}`;
  if (tree.textFrom === "none") return `The log has no text here: token ids stand for it.${lost}`;
  const why = "Where a token ends in the text is not known (the tokenizer was not given: grpo-prm report --tokenizer NAME), so a stretch of text is a whole step";
  return `${why}${single ? ", coloured by its mean; each bar behind it is one token" : ""}. The scale is that of the whole log.${lost}`;
}

// The tokens of a completion where their borders are known, else its steps.
function unitsOf(tree, row) {
  const { start, end } = tree.steps, { lengths } = shape(tree);
  const logged = LOGGED.get(tree.group), inside = insideOf(tree, row);
  const out = (from, to) => (inside ? !inside.slice(from, to).some(Boolean) : false);
  return pathOf(tree, row).filter((n) => lengths[n]).flatMap((n) => {
    const borders = tree.tokens?.lengths?.[n];
    if (!borders || logged.texts[n] === null) return [{ step: n, from: start[n], to: end[n], out: out(start[n], end[n]), text: tree.textFrom === "withheld" ? `(${amount(end[n] - start[n], UNIT)})` : textOf(tree, n) }];
    return cutUp(logged.texts[n], borders).map((text, at) => ({ step: n, from: start[n] + at, to: start[n] + at + 1, out: out(start[n] + at, start[n] + at + 1), text }));
  });
}

// A text cut at borders given as lengths. What lies in a part that was left out is empty, but for a word that says so.
function cutUp(text, lengths) {
  const ends = [];
  lengths.reduce((sum, length) => (ends.push(sum + length), sum + length), 0);
  if (!Array.isArray(text)) return lengths.map((length, at) => shown(text.slice(ends[at] - length, ends[at])));
  const [head, missing, tail] = text, begin = (ends.at(-1) ?? 0) - tail.length;
  let said = false;
  return lengths.map((length, at) => {
    const from = ends[at] - length, to = ends[at];
    const piece = head.slice(from, to) + (to > begin ? tail.slice(Math.max(0, from - begin), to - begin) : "");
    if (piece || said || from < head.length) return shown(piece);
    said = true;
    return ["", missing, ""];
  });
}

// The value of a stretch of tokens: of one token, or the mean over those in the loss.
function valueOf(tree, row, measure, { step, from, to, out }) {
  if (out) return null;
  if (measure === "credit") return shape(tree).given[step];
  if (measure === "local") return tree.steps.local[step];
  const values = tree.tokens?.[measure]?.[row]?.slice(from, to).filter((_, at) => !isOut(tree, row, from + at)).filter((value) => value !== null) ?? [];
  return values.length ? values.reduce((sum, value) => sum + value, 0) / values.length : null;
}

// Whether each token of a completion is in the loss; null where all are.
function insideOf(tree, row) {
  const inside = (shape(tree).inside ??= []);
  if (inside[row] === undefined) inside[row] = tree.masks?.[row] ? mask(tree.masks[row]) : null;
  return inside[row];
}

const isOut = (tree, row, at) => insideOf(tree, row)?.[at] === false;

function elementsOf(tree, row, unit, at, measure) {
  const value = valueOf(tree, row, measure, unit);
  const look = { class: unit.out ? "token out" : "token", "data-unit": at, tabindex: -1, style: unit.out ? {} : paintedBy(measure, value) };
  const made = [make("span", look, written(unit.text), tree.texts[unit.step] === null ? " " : "")];
  if (unit.to - unit.from === 1 || (measure !== "surprisal" && measure !== "gap")) return made;
  const ticks = Array.from({ length: unit.to - unit.from }, (_, n) => unit.from + n).map((token) => make("span", {
    class: "tick", role: "img", "aria-label": `${UNIT} ${token + 1}`, "data-unit": at, "data-token": token, tabindex: -1,
    style: paintedBy(measure, valueOf(tree, row, measure, { ...unit, from: token, to: token + 1, out: isOut(tree, row, token) })),
  }));
  return [...made, make("span", { class: "ticks" }, ticks)];
}

function saidOfUnit(tree, row, unit, token) {
  const one = token >= 0 ? { ...unit, from: token, to: token + 1, out: isOut(tree, row, token) } : unit;
  const length = tree.steps.end.reduce((last, end, n) => (tree.steps.first[n] <= row && row < tree.steps.first[n] + tree.steps.size[n] ? Math.max(last, end) : last), 0);
  const place = one.to - one.from === 1 ? `${UNIT} ${number(one.from + 1)}` : `${UNIT}s ${number(one.from + 1)} to ${number(one.to)}`;
  const many = one.to - one.from > 1 ? "mean " : "";
  const values = measuresOf(tree, row).map((name) => `${name === "surprisal" || name === "gap" ? many : ""}${saidOf(name, valueOf(tree, row, name, one))}`);
  const members = tree.steps.size[unit.step];
  return [make("b", {}, `${place} of ${number(length)}`), `, shared by ${members} of ${tree.completions.sample.length}: ${one.out ? "out of the loss" : values.join(", ")}`];
}

// Arrow keys go from token to token, Home and End to the first and the last.
function walkTokens(event) {
  if (event.altKey || event.ctrlKey || event.metaKey) return;
  const all = [...event.currentTarget.querySelectorAll("[data-unit]")], at = all.indexOf(event.target);
  const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: all.length - 1 }[event.key];
  if (to === undefined || !all[to]) return;
  event.preventDefault();
  for (const one of all) one.tabIndex = -1;
  all[to].tabIndex = 0;
  all[to].focus();
}
