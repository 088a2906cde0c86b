// The completions of a group as columns in the order of the tree: a step is a cell that spans its members.

function drawAligned(tree) {
  const { k, levels, children, lengths } = shape(tree);
  const { first, size } = tree.steps;
  const shown = lengths[0] ? levels : levels.slice(1);
  const over = new Array(k).fill(false); // columns whose cells are all placed
  const rows = shown.map((level, depth) => {
    const opens = new Map(level.map((n) => [first[n], n]));
    const left = shown.length - depth;
    const cells = [];
    for (let at = 0; at < k;) {
      const n = opens.get(at);
      if (over[at]) at += 1;
      else if (n === undefined) {
        cells.push(make("td", { class: "over", rowspan: left }, "ended above"));
        over[at] = true;
        at += 1;
      } else {
        const leaf = !children[n].length;
        cells.push(cellOf(tree, n, leaf ? left : 1));
        if (leaf) over.fill(true, at, at + size[n]);
        at += size[n];
      }
    }
    return make("tr", {}, cells);
  });
  const wide = k > 24 ? 11 : k > 8 ? 14 : 16;
  const table = make("table", { class: "columns", style: { width: `max(100%, ${k * wide}rem)` } },
    make("caption", { class: "hidden" }, `Completions side by side: ${k} columns, a row for each level of the tree`),
    make("thead", {}, make("tr", {}, tree.completions.sample.map((sample, row) => headOf(tree, sample, row)))), make("tbody", {}, rows));
  table.classList.toggle("unclipped", byId("unclipped").checked);
  byId("columns").replaceChildren(table);
}

function headOf(tree, sample, row) {
  const { reward, advantage, tokens, truncated } = tree.completions;
  const follow = () => choose({ completion: chosen.completion === sample ? null : sample });
  return make("th", { scope: "col", "data-first": row, "data-size": 1 },
    make("button", { type: "button", on: { click: follow }, "aria-label": `Follow completion ${sample}` }, `#${sample}`),
    make("div", {}, `reward ${number(reward[row])}`), make("div", {}, `advantage ${signed(advantage[row])}`),
    make("div", {}, `${amount(tokens[row], UNIT)}${truncated[row] ? ", truncated" : ""}`));
}

function cellOf(tree, n, deep) {
  const { first, size, advantage } = tree.steps;
  const { most, marks, lengths } = shape(tree);
  return make("td", { colspan: size[n], rowspan: deep, "data-first": first[n], "data-size": size[n] },
    make("div", { class: "strip", style: painted(advantage[n], most) }),
    make("div", { class: "cell" },
      make("div", { class: "head" }, make("span", { class: "swatch", style: painted(advantage[n], most) }, signed(advantage[n])),
        `${size[n]} of ${tree.completions.sample.length}, ${amount(lengths[n], UNIT)}`, marks[n] ? make("b", {}, marks[n]) : ""),
      make("div", { class: "text" }, written(textOf(tree, n)))));
}
