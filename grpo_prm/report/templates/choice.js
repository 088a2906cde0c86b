// What is chosen stands in the address by name, so that a group, a completion or a search can be linked and gone back to.

const TABS = ["overview", "groups", ...(STEPS.length > 1 ? ["trend"] : []), "figures", "reading"];
const WORDS = ["query", "show", "run", "reward", "length"]; // fields that are texts
const NUMBERS = ["process", "step"];
const FIELDS = ["tab", "group", "completion", "regex", ...NUMBERS, ...WORDS];
const HOME = DATA.trees.length ? DATA.trees[0].group : OF.group(0); // the group that is open at first
const chosen = Object.fromEntries(FIELDS.map((field) => [field, null]));
const listeners = [];
let untold = []; // fields that changed while a tree is being opened

function readAddress() {
  const text = location.hash.slice(1), mark = text.indexOf("?");
  const path = mark < 0 ? text : text.slice(0, mark);
  const given = new URLSearchParams(mark < 0 ? "" : text.slice(mark + 1));
  const { row, sample } = path.includes(":") ? placeAt(path) : { row: null, sample: null };
  const tab = path.includes(":") ? given.get("tab") ?? "groups" : path;
  chosen.tab = TABS.includes(tab) ? tab : "overview";
  chosen.group = row === null ? HOME : row === undefined ? -1 : OF.group(row);
  chosen.completion = sample;
  chosen.regex = given.has("regex") || null;
  for (const field of NUMBERS) chosen[field] = /^-?\d+$/.test(given.get(field) ?? "") ? Number(given.get(field)) : null;
  for (const field of WORDS) chosen[field] = given.get(field) || null;
}

// The group stands in it where its tab is open, or where it was chosen.
function address(of = chosen) {
  const { tab, group, completion } = of;
  const named = ROW_OF.has(group) && (tab === "groups" || group !== HOME);
  const given = new URLSearchParams();
  if (named && tab !== "groups") given.set("tab", tab);
  if (of.regex && of.query) given.set("regex", "1");
  const usual = TREES.has(group) ? telling(TREES.get(group)) : null; // the step with which a group opens
  for (const field of [...NUMBERS, ...WORDS]) {
    if (of[field] !== null && !(field === "process" && of.process === usual)) given.set(field, of[field]);
  }
  const path = named ? `${ADDRESSES[ROW_OF.get(group)]}${completion === null ? "" : `/${completion}`}` : tab;
  return `#${path}${given.size ? `?${given}` : ""}`;
}

// Change some fields, write them to the address, and tell who draws them. A new group or tab can be gone back from.
function choose(fields) {
  if (goElsewhere({ ...chosen, ...fields }, "assign")) return new Promise(() => {}); // this page ends here
  const changed = FIELDS.filter((field) => field in fields && fields[field] !== chosen[field]);
  Object.assign(chosen, fields);
  const anew = changed.includes("group") || changed.includes("tab");
  history[anew ? "pushState" : "replaceState"](null, "", address());
  return tell(changed);
}

// Go to the page that has the text of a group, where it is not this one.
function goElsewhere(of, way) {
  const page = of.tab === "groups" ? pageOf(of.group) : null;
  if (page !== null) location[way](page + address(of));
  return page !== null;
}

// A new group is told of once its tree is there.
async function tell(changed) {
  untold = [...new Set([...untold, ...changed])];
  const { group } = chosen;
  if (HEADS.has(group) && !TREES.has(group)) {
    await openTree(group).catch(() => announce("The text of this group could not be opened: the browser is too old, or the page is damaged."));
    if (group !== chosen.group) return; // whoever chose another one tells of both
  }
  const now = untold;
  untold = [];
  if (now.length) for (const listener of listeners) listener(now);
}

window.addEventListener("popstate", () => {
  const before = { ...chosen };
  readAddress();
  if (goElsewhere(chosen, "replace")) return;
  tell(FIELDS.filter((field) => chosen[field] !== before[field])).then(() => land());
});
