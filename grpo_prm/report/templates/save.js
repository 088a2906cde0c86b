// Rollouts of the open group, or of those that the filters let through, as JSON lines: as logged, in canonical columns.

function setUpSave() {
  byId("copy").addEventListener("click", () => save([chosen.group], copied));
  byId("download").addEventListener("click", () => save([chosen.group], downloaded));
  byId("download-all").addEventListener("click", () => save(view.rows.map(OF.group), downloaded));
  byId("copy-all").addEventListener("click", () => save(view.rows.map(OF.group), copied));
}

async function save(groups, put) {
  const lines = [];
  let cut = 0, whole = 0;
  for (const group of groups.filter((one) => HEADS.has(one))) {
    await openTree(group);
    const tree = LOGGED.get(group);
    if (Array.isArray(tree.prompt) || tree.texts.some(Array.isArray)) cut += 1;
    else {
      whole += 1;
      lines.push(...rollouts(tree).map((row) => JSON.stringify(row)));
    }
  }
  const without = groups.length - whole - cut;
  const said = [whole ? `${amount(lines.length, "completion")} of ${amount(whole, "group")} ${await put(lines)}.` : "Nothing to save."];
  if (without) said.push(`Left out: ${amount(without, "group")} without text in this page.`);
  if (cut) said.push(`Left out: ${amount(cut, "group")} whose texts are cut in this page; the folder has them whole.`);
  byId("saved").textContent = said.join(" ");
}

// Canonical rows of a group, by sample. Token ids are there where the page has all of them.
function rollouts(tree) {
  const { sample, reward, parts, truncated, logged } = tree.completions;
  const { first, size, start, end } = tree.steps;
  const all = tree.ids?.every((ids, n) => ids.length === end[n] - start[n]) ?? false;
  const ids = (row) => tree.ids.flatMap((some, n) => (first[n] <= row && row < first[n] + size[n] ? some : []));
  return sample.map((one, row) => ({
    ...tree.row, sample: one, prompt: tree.prompt,
    completion: tree.textFrom === "none" ? null : completionOf(tree, row),
    ...(all ? { tokens: ids(row), mask: tree.masks ? mask(tree.masks[row]) : null } : {}),
    reward: reward[row], advantage: logged ? logged[row] : null, truncated: truncated[row], tokens_from: tree.tokensFrom,
    ...Object.fromEntries(Object.entries(parts).map(([name, values]) => [`reward/${name}`, values[row]])),
  })).sort((a, b) => a.sample - b.sample);
}

// Lengths of runs, in the loss and out of it by turns, as one truth value a token.
const mask = (runs) => runs && runs.flatMap((length, n) => new Array(length).fill(n % 2 === 0));

async function downloaded(lines) {
  const url = URL.createObjectURL(new Blob([lines.map((line) => `${line}\n`).join("")], { type: "application/jsonl" }));
  const link = make("a", { href: url, download: "rollouts.jsonl" });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
  return "downloaded as rollouts.jsonl";
}

async function copied(lines) {
  const text = lines.map((line) => `${line}\n`).join("");
  try {
    await navigator.clipboard.writeText(text);
  } catch { // no clipboard for pages that come from a file, in some browsers
    const area = make("textarea", { class: "hidden" });
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  return "copied as JSON lines";
}
