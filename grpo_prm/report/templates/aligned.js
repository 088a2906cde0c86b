// The completions of a group as columns in the order of the tree: a step is a cell that spans its members.
// It is a grid with the roles of a table: a real table would give the room that long leaves need to every row.

function drawAligned(tree) {
  const { k } = shape(tree);
  const { sample } = tree.completions;
  const rows = cellsOf(tree);
  const longest = Math.max(0, ...tree.texts.map((_, n) => opening(textOf(tree, n), 240).length));
  const wide = longest > 160 ? 18 : 10; // rem; long texts want lines that can be read
  const look = { "grid-template-columns": `repeat(${k}, minmax(0, 1fr))` };
  const heads = make("div", { role: "row", class: "heads", style: look }, sample.map((one, row) => headOf(tree, one, row)));
  const body = make("div", {
    role: "rowgroup", class: "cells",
    style: { ...look, "grid-template-rows": rows.length > 1 ? `repeat(${rows.length - 1}, auto) 1fr` : "auto" },
  }, rows.map((cells) => make("div", { role: "row" }, cells)));
  const table = make("div", { role: "table", class: "columns", "aria-label": `Completions side by side: ${k} columns, a row for each level of the tree`, "aria-colcount": k, style: { width: `max(100%, ${k * wide}rem)` } }, heads, body);
  table.classList.toggle("unclipped", byId("unclipped").checked);
  byId("columns").replaceChildren(table);
}

// The cells of each level; a leaf reaches down to the last row. A root that no token is in has no row.
function cellsOf(tree) {
  const { k, levels, children, lengths } = shape(tree);
  const { first, size } = tree.steps;
  const shown = lengths[0] ? levels : levels.slice(1);
  const placed = new Array(k).fill(false); // columns whose last cell is placed
  return shown.map((level, depth) => {
    const opens = new Map(level.map((n) => [first[n], n]));
    const deep = shown.length - depth;
    const cells = [];
    for (let at = 0; at < k;) {
      const n = placed[at] ? undefined : opens.get(at);
      const spans = n === undefined ? 1 : size[n];
      const last = n === undefined || !children[n].length;
      if (!placed[at]) cells.push(cellOf(tree, n, { at, spans, depth, deep: last ? deep : 1 }));
      if (last) placed.fill(true, at, at + spans);
      at += spans;
    }
    return cells;
  });
}

function headOf(tree, sample, row) {
  const { reward, advantage, tokens, truncated } = tree.completions;
  const follow = () => choose({ completion: chosen.completion === sample ? null : sample });
  return make("div", { role: "columnheader", class: "head-cell", "data-first": row, "data-size": 1 },
    make("button", { type: "button", on: { click: follow }, "aria-label": `Follow completion ${sample}` }, `#${sample}`),
    make("div", {}, `reward ${number(reward[row])}`), make("div", {}, `advantage ${signed(advantage[row])}`),
    make("div", {}, `${amount(tokens[row], UNIT)}${truncated[row] ? ", truncated" : ""}`));
}

function cellOf(tree, n, { at, spans, depth, deep }) {
  const place = {
    role: "cell", "data-first": at, "data-size": spans, "aria-colindex": at + 1, "aria-colspan": spans, "aria-rowspan": deep,
    style: { "grid-column": `${at + 1} / span ${spans}`, "grid-row": `${depth + 1} / span ${deep}` },
  };
  if (n === undefined) return make("div", { ...place, class: "over" }, "ended above");
  const { given, most, marks, lengths } = shape(tree);
  const paint = painted(given[n], most);
  return make("div", { ...place, class: tree.shape.children[n].length ? null : "leaf" },
    make("div", { class: "strip", style: paint }),
    make("div", { class: "cell" },
      make("div", { class: "head" }, make("span", { class: "swatch", style: paint }, signed(given[n])),
        `${spans} of ${tree.completions.sample.length}, ${amount(lengths[n], UNIT)}`, marks[n] ? make("b", {}, marks[n]) : ""),
      make("div", { class: "text" }, written(textOf(tree, n)))));
}
