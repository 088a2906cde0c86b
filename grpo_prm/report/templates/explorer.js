// The tree of a group, left to right: steps as boxes, wide by tokens, high by members, coloured by advantage.

const LEAST_WIDE = 280; // pixels of a tree
const LARGE = 24; // completions of a group up to which all of it is drawn at once
// Pixels inside a box that its advantage needs, beside a mark, and a mark alone; a number that is cut off is a wrong one.
const NUMBER = 66, MARKED_NUMBER = 94, MARK = 22;
const drawn = { tree: null, scale: "sqrt", zoom: 1, boxes: [] };

const treeOf = () => TREES.get(chosen.group);
const rowOfSample = (tree) => tree.completions.sample.indexOf(chosen.completion);

function setUpExplorer() {
  byId("along").addEventListener("change", (event) => choose({ completion: event.target.value === "" ? null : Number(event.target.value) }));
  for (const radio of document.querySelectorAll("input[name=scale]")) {
    radio.addEventListener("change", () => { drawn.scale = radio.value; drawTree(treeOf()); });
  }
  byId("unclipped").addEventListener("change", () => byId("columns").firstChild?.classList.toggle("unclipped", byId("unclipped").checked));
  byId("panel").addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.key === "Escape") drawn.boxes[chosen.process]?.focus();
    else if (event.key === "n" || event.key === "p") follow(treeOf(), event.key === "n" ? 1 : -1);
  });
  setUpZoom();
  let waiting = 0;
  window.addEventListener("resize", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => treeOf() && [drawTree, showScatter].forEach((show) => show(treeOf())), 150);
  });
  listeners.push((changed) => {
    if (changed.includes("group")) showGroup();
    else if (changed.includes("process") || changed.includes("completion")) showChoice();
  });
}

function showGroup() {
  const tree = treeOf();
  for (const part of ["view", "aligned", "compare", "scatter"]) byId(part).hidden = !tree;
  byId("along").disabled = !tree;
  // Before anything changes, or the browser would have to lay out at once what is about to change again.
  const room = tree && { tree: roomOfTree(), scatter: byId("scatter").clientWidth };
  byId("tree-title").textContent = ROW_OF.has(chosen.group) ? `Group ${nameOf(ROW_OF.get(chosen.group))}` : "No such group";
  byId("facts").replaceChildren(...groupFacts(tree));
  byId("whole").replaceChildren();
  if (!tree) return;
  const { completions } = tree;
  const options = completions.sample.map((sample, row) => [sample, row]).sort((a, b) => a[0] - b[0])
    .map(([sample, row]) => make("option", { value: sample }, `#${sample}, reward ${number(completions.reward[row])}`));
  byId("along").replaceChildren(make("option", { value: "" }, "none"), ...options);
  drawTree(tree, room.tree);
  const below = () => {
    drawAligned(tree);
    showDiff(tree);
    showScatter(tree, room.scatter);
  };
  // What stands below a large tree is as much again as the tree, and nobody sees it before the tree.
  if (completions.sample.length <= LARGE) below();
  else requestAnimationFrame(() => setTimeout(() => treeOf() === tree && [below, mark].forEach((draw) => draw())));
  showChoice();
}

// The step to open a group with: where most tokens of good completions are pushed down, else of the largest |A|.
function telling(tree) {
  const { tokens, size } = tree.steps;
  const { given, marks, members } = shape(tree);
  const good = (n) => members(n).filter((row) => tree.completions.advantage[row] > 0).length;
  const rank = given.map((a, n) => (marks[n] === "suppressed good" ? [1, (tokens[n] * good(n)) / size[n]] : [0, size[n] > 1 ? Math.abs(a ?? 0) : 0]));
  return rank.reduce((best, [kind, value], n) => (kind > rank[best][0] || (kind === rank[best][0] && value > rank[best][1]) ? n : best), 0);
}

function groupFacts(tree) {
  const row = ROW_OF.get(chosen.group);
  if (row === undefined) return [make("p", {}, "No group of this log has the name in the address. Choose one from the list.")];
  const of = (part, whole) => (OF[part](row) === null ? "–" : `${number(OF[part](row))} of ${number(OF[whole](row))}`);
  const list = facts([
    ["group", OF.key(row)],
    [term("draw"), drawOf(row)],
    ["run", RUNS.length > 1 ? RUNS[OF.run(row)] : null],
    ["training step", OF.step(row) === null ? null : number(OF.step(row))],
    ["completions", number(OF.k(row))],
    [`${UNIT}s`, number(OF.tokens(row))],
    ["mean reward", OF.deviation(row) === null ? number(OF.reward(row)) : `${number(OF.reward(row))} (deviation ${number(OF.deviation(row))})`],
    ["path depth", number(OF.depth(row))],
    ["intermediate proportion", percent(OF.intermediate(row))],
    ["shared proportion", percent(OF.shared(row))],
    [term(`suppressed-good ${UNIT}s`, "suppressed-good"), of("suppressed", "good")],
    [term(`boosted-bad ${UNIT}s`, "boosted-bad"), of("boosted", "bad")],
    ["copies", OF.duplicates(row) ? number(OF.duplicates(row)) : null],
  ]);
  const parts = tree ? [list, make("p", {}, tree.kinds.map((kind) => badge(kind, true)))] : [list];
  if (OF.zero(row)) parts.push(make("p", { class: "note" }, "All rewards of this group are equal, so every advantage is 0: it teaches nothing."));
  if (!tree) {
    return [...parts, withoutText(row)];
  }
  const asked = tree.prompts ? `One of ${number(tree.prompts)} prompts in this group` : "Prompt";
  if (tree.prompt !== null) {
    parts.push(make("details", { class: "prompt" }, make("summary", {}, `${asked}: ${opening(tree.prompt, 90)}`), make("pre", { class: "text", tabindex: 0 }, written(tree.prompt))));
  } else if (tree.prompts) parts.push(make("p", { class: "quiet" }, `${number(tree.prompts)} prompts in this group; the log has no text of them.`));
  const why = { prefix: "Steps are cut where texts part; without the tokenizer a cut may lie some characters right of the token's border.", none: "The log has no text of these completions: steps show token ids." }[tree.textFrom];
  if (why) parts.push(make("p", { class: "quiet" }, why));
  return parts;
}

function withoutText(row) {
  const command = commandOf(row);
  return make("p", { class: "note" }, "The text of this group is not in this page. ", command ? ["In the terminal: ", make("code", {}, command)] : ["In the terminal grpo-prm tree shows it, given the log and ", make("span", { class: "nowrap" }, "--group"), "."]);
}

function rowHeight(k) {
  return k <= 12 ? 34 : k <= 24 ? 24 : 14;
}

// Pixels for the boxes, beside the column where completions end.
const roomOfTree = () => byId("canvas").clientWidth - (document.documentElement.clientWidth <= 600 ? 80 : 124) - 4;

function drawTree(tree, room = roomOfTree()) {
  const { k, given, depth, children, most, marks, count } = shape(tree);
  const high = rowHeight(k) * drawn.zoom, dense = high < 20 ? " dense" : "";
  const width = Math.max(LEAST_WIDE, room) * Math.max(1, drawn.zoom);
  const { left, wide, total } = placed(tree, drawn.scale, width);
  const { parent, first, size } = tree.steps;
  const percentOf = (pixels) => `${(100 * pixels) / total}%`;
  const stretch = Math.max(1, width / total); // boxes fill the room
  drawn.boxes = Array.from({ length: count }, (_, n) => {
    const siblings = parent[n] < 0 ? [n] : children[parent[n]];
    return make("div", {
      role: "treeitem", id: `step-${n}`, tabindex: -1, class: marks[n] ? "marked" : null,
      "aria-level": depth[n] + 1, "aria-setsize": siblings.length, "aria-posinset": siblings.indexOf(n) + 1,
      "aria-label": labelOf(tree, n), title: wide[n] < 90 ? opening(textOf(tree, n), 200) : null,
      style: { left: percentOf(left[n]), width: `calc(${percentOf(wide[n])} - 1px)`, top: `${first[n] * high}px`, height: `${size[n] * high - 1}px`, ...painted(given[n], most) },
      on: { click: () => select(n) },
    }, boxContent(tree, n, wide[n] * stretch - (dense ? 9 : 11) - (marks[n] ? 2 : 0), size[n] * high - 1, dense));
  });
  const boxes = make("div", {
    class: `icicle${dense}`, role: "tree", "aria-label": `Process steps of ${k} completions`, "aria-orientation": "horizontal",
    style: { "min-width": `${Math.ceil(total)}px`, height: `${k * high}px` }, on: { keydown: move },
  }, drawn.boxes);
  const ends = make("div", { class: `ends${dense}`, "aria-hidden": "true" }, tree.completions.sample.map((sample, row) =>
    make("div", { style: { height: `${high}px` }, on: { click: () => choose({ completion: chosen.completion === sample ? null : sample }) } },
      high < 12 ? [] : [make("span", {}, `#${sample}`), make("span", {}, number(tree.completions.reward[row]))])));
  const inside = byId("canvas").contains(document.activeElement);
  byId("canvas").replaceChildren(make("div", { class: "canvas" }, boxes, ends));
  byId("colours").replaceChildren(...legend(tree));
  mark();
  if (inside) drawn.boxes.find((box) => box.tabIndex === 0).focus({ preventScroll: true });
}

// Mark, advantage and the start of the text, as far as there is room: in as many whole lines as the box is high, and of
// what does not fit in its width nothing. Decided here, since asking each box by a query of its container takes longer
// than all the rest where a group has a hundred.
function boxContent(tree, n, inside, high, dense) {
  const said = signed(shape(tree).given[n]);
  const short = { "suppressed good": "SG", "boosted bad": "BB" }[shape(tree).marks[n]];
  const line = dense ? 12 : 16, lines = Math.floor((high - 1) / line);
  if (!lines || !shape(tree).lengths[n]) return ""; // a box too low for a line of text has none, nor has an empty root
  return make("div", { class: "words", style: { "max-height": `${lines * line}px` } },
    short && inside > MARK ? make("span", { class: "mark" }, short) : null,
    make("span", { class: "sign" }, said.slice(0, 1), inside > (short ? MARKED_NUMBER : NUMBER) ? make("span", { class: inside > 2 * MARKED_NUMBER ? "value" : "value tight" }, said.slice(1)) : null),
    inside > (dense ? NUMBER : MARK) ? make("span", { class: "start" }, opening(textOf(tree, n), 60 * Math.min(12, lines))) : null);
}

function textOf(tree, n) {
  if (tree.texts[n] !== null && tree.texts[n] !== undefined) return tree.texts[n];
  if (!tree.ids) return "";
  const missing = shape(tree).lengths[n] - tree.ids[n].length;
  return missing ? [`${tree.ids[n].join(" ")} `, missing, "", "token id"] : tree.ids[n].join(" ");
}

function labelOf(tree, n) {
  const { size, reward } = tree.steps;
  const { k, given, marks, lengths } = shape(tree);
  const words = [`${size[n]} of ${k}`, given[n] === null ? "out of the loss" : `A ${signed(given[n])}`, `R ${number(reward[n])}`, amount(lengths[n], UNIT)];
  if (marks[n]) words.push(marks[n]);
  return `${words.join(", ")}: ${opening(textOf(tree, n), 80)}`;
}

function legend(tree) {
  return [
    scaleOf("credit"),
    make("span", {}, make("b", {}, "SG"), term("suppressed good")),
    make("span", {}, make("b", {}, "BB"), term("boosted bad")),
    tree.steps.tokens.some((count, n) => !count && shape(tree).lengths[n]) ? make("span", {}, make("span", { class: "swatch", style: painted(null, 1) }, "\u2013"), "out of the loss") : "",
    make("span", {}, "right: completion and reward"),
  ];
}

function select(n) {
  choose({ process: n });
  drawn.boxes[n].focus({ preventScroll: true });
  drawn.boxes[n].scrollIntoView({ block: "nearest", inline: "nearest" });
}

// Arrows follow the picture: right to the first child, left to the step above, up and down to neighbours at one depth.
function move(event) {
  const tree = treeOf(), { children, levels, depth } = shape(tree);
  const n = Number(event.target.id.slice(5));
  const level = levels[depth[n]];
  const leaves = tree.steps.first.map((_, m) => m).filter((m) => !children[m].length);
  const to = {
    ArrowRight: children[n][0],
    ArrowLeft: tree.steps.parent[n],
    ArrowUp: level[level.indexOf(n) - 1],
    ArrowDown: level[level.indexOf(n) + 1],
    Home: 0,
    End: leaves.reduce((last, m) => (tree.steps.first[m] > tree.steps.first[last] ? m : last), leaves[0]),
  };
  if (event.altKey || event.ctrlKey || event.metaKey) return;
  if (event.key === "Enter" || event.key === " ") {
    select(n);
    byId("panel").focus();
  } else if (ZOOMS[event.key]) ZOOMS[event.key]();
  else if (event.key === "n" || event.key === "p") follow(tree, event.key === "n" ? 1 : -1);
  else if (!(event.key in to)) return;
  else if (to[event.key] !== undefined && to[event.key] >= 0) select(to[event.key]);
  event.preventDefault();
}

// Follow the next or the previous completion in the order of the tree.
function follow(tree, by) {
  const { sample, reward } = tree.completions;
  const row = rowOfSample(tree);
  const to = row < 0 ? (by > 0 ? 0 : sample.length - 1) : Math.min(sample.length - 1, Math.max(0, row + by));
  choose({ completion: sample[to] });
  announce(`Path of completion ${sample[to]}, reward ${number(reward[to])}`);
}

// What is chosen inside the group: a step, a path.
function showChoice() {
  const tree = treeOf();
  if (!tree) return;
  chosen.process ??= telling(tree);
  byId("along").value = chosen.completion === null || rowOfSample(tree) < 0 ? "" : String(chosen.completion);
  mark();
  showPanel(tree);
  showWhole(tree);
}

function mark() {
  const tree = treeOf(), row = rowOfSample(tree);
  const path = new Set(row < 0 ? [] : pathOf(tree, row));
  const at = chosen.process !== null && chosen.process >= 0 && chosen.process < drawn.boxes.length ? chosen.process : null;
  drawn.boxes.forEach((box, n) => {
    box.setAttribute("aria-selected", String(n === at));
    box.tabIndex = n === (at ?? 0) ? 0 : -1;
    box.classList.toggle("on-path", path.has(n));
  });
  const canvas = byId("canvas").firstChild;
  canvas.firstChild.classList.toggle("following", row >= 0);
  [...canvas.lastChild.children].forEach((end, m) => end.classList.toggle("on-path", m === row));
  for (const cell of byId("columns").querySelectorAll("[data-first]")) {
    const first = Number(cell.dataset.first);
    cell.classList.toggle("on-path", row >= first && row < first + Number(cell.dataset.size));
  }
}
