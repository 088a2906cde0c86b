// Trees lie packed in the page, some in a block; a block is opened when a group of it is asked for.

const HEADS = new Map(DATA.trees.map((head) => [head.group, head])); // group to where its tree is
const TREES = new Map(); // group to its tree, of those that were opened
const LOGGED = new Map(); // the same, with its texts as the log has them
const IDS = 48; // token ids of a step that are shown
const opened = new Map(); // block to the promise of it

const bytesOf = (text) => Uint8Array.fromBase64?.(text) ?? Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0));

async function unpacked(block) {
  const bytes = bytesOf(DATA.blocks[block]);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  for (const tree of JSON.parse(await new Response(stream).text())) {
    LOGGED.set(tree.group, tree);
    TREES.set(tree.group, { ...shown(tree), ids: tree.ids && tree.ids.map((ids) => ids.slice(0, IDS)) });
  }
}

// The tree of a group once it is there; undefined for a group without.
async function openTree(group) {
  const head = HEADS.get(group);
  if (!head) return undefined;
  if (!opened.has(head.block)) opened.set(head.block, unpacked(head.block));
  await opened.get(head.block);
  return TREES.get(group);
}

// Open the blocks of groups that may be asked for next, once there is nothing else to do.
function openSoon(groups) {
  const idle = window.requestIdleCallback ?? ((act) => setTimeout(act, 200)); // Safari has none
  idle(() => groups.forEach((group) => openTree(group).catch(() => {})));
}

// The page in which a group has its text, where it is another one; null where there is none.
function pageOf(group) {
  const { index, places } = DATA.elsewhere ?? {};
  if (HEADS.has(group)) return null;
  return index ?? Object.keys(places ?? {}).find((page) => places[page].includes(group)) ?? null;
}

// How many groups have their text in other pages.
const FURTHER = Object.values(DATA.elsewhere?.places ?? {}).reduce((all, groups) => all + groups.length, 0);

// The text of a completion, given by its place in tree order: as logged or as shown, whichever tree is given.
function completionOf(tree, row) {
  if (tree.own[row] !== undefined) return tree.own[row];
  const { first, size } = tree.steps;
  return tree.texts.filter((_, n) => first[n] <= row && row < first[n] + size[n]).map(partly).join("");
}

// Of a text that is cut in the middle what is there.
const partly = (text) => (Array.isArray(text) ? `${text[0]}…${text[2]}` : text ?? "");
