// Search in everything that the page has of a group: its names, its prompt, and each of its completions.

const sought = { pattern: null, wrong: "", hits: new Map(), at: 0, turn: 0 };
const BREATH = 20; // milliseconds of work between two looks at the keyboard

// The pattern of what is searched; null for nothing, with the reason in `wrong` where it is no regular expression.
function patternOf(query, regex) {
  sought.wrong = "";
  if (!query) return null;
  try {
    return new RegExp(regex ? query : query.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&"), "giu");
  } catch (error) {
    sought.wrong = `Not a regular expression: ${error.message.replace(/^Invalid regular expression: /, "")}.`;
    return null;
  }
}

function count(pattern, text) {
  let hits = 0;
  for (const match of text.matchAll(pattern)) if (match[0]) hits += 1;
  return hits;
}

const isHit = (row) => (sought.pattern ? sought.hits.has(row) : true);

// Hits in each completion of a tree, in tree order.
const hitsIn = (tree) => tree.completions.sample.map((_, row) => count(sought.pattern, completionOf(tree, row)));

async function search() {
  const turn = (sought.turn += 1);
  Object.assign(sought, { pattern: patternOf(chosen.query, chosen.regex), hits: new Map(), at: 0 });
  const { pattern } = sought;
  saySearch();
  if (!pattern) return;
  for (const row of ROWS) {
    const hits = count(pattern, nameOf(row)) + (HEADS.has(OF.group(row)) ? 0 : count(pattern, promptOf(row)));
    if (hits) sought.hits.set(row, hits);
  }
  let paused = performance.now();
  for (const group of HEADS.keys()) {
    const tree = await openTree(group);
    if (turn !== sought.turn) return; // something else is searched by now
    const row = ROW_OF.get(group);
    const hits = count(pattern, partly(tree.prompt)) + hitsIn(tree).reduce((all, some) => all + some, sought.hits.get(row) ?? 0);
    if (hits) sought.hits.set(row, hits);
    sought.at += 1;
    if (performance.now() - paused > BREATH) {
      saySearch();
      await new Promise((go) => setTimeout(go));
      if (turn !== sought.turn) return;
      paused = performance.now();
    }
  }
  saySearch();
  showTable();
}

function saySearch() {
  const { pattern, wrong, hits, at } = sought;
  byId("search").setAttribute("aria-invalid", String(Boolean(wrong)));
  byId("search-says").classList.toggle("wrong", Boolean(wrong));
  const all = [...hits.values()].reduce((sum, some) => sum + some, 0);
  const where = HEADS.size < COUNT ? ` Searched: names and starts of prompts of all, texts of ${amount(HEADS.size, "group")}.` : "";
  const busy = pattern && at < HEADS.size;
  byId("search-says").textContent = wrong || (pattern ? `${amount(all, "hit")} in ${amount(hits.size, "group")}${busy ? `, ${at} of ${HEADS.size} searched …` : "."}${busy ? "" : where}` : "");
  byId("search").setAttribute("aria-busy", String(Boolean(busy)));
}
