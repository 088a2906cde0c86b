// What is chosen stands in the address, so that a group, a process step or a path can be linked.

const FIELDS = ["group", "process", "completion", "step"];
const chosen = { group: null, process: null, completion: null, step: null };
const listeners = [];

function readAddress() {
  const given = new URLSearchParams(location.hash.slice(1));
  for (const field of FIELDS) {
    const text = given.get(field);
    chosen[field] = text !== null && /^-?\d+$/.test(text) ? Number(text) : null;
  }
  chosen.group ??= DATA.trees[0]?.group ?? null;
}

function isState() {
  return location.hash === "" || FIELDS.some((field) => location.hash.includes(`${field}=`));
}

function address() {
  return `#${FIELDS.filter((field) => chosen[field] !== null).map((field) => `${field}=${chosen[field]}`).join("&")}`;
}

// Change some fields, write them to the address, and tell who draws them. A new group can be gone back from.
function choose(fields) {
  const changed = FIELDS.filter((field) => field in fields && fields[field] !== chosen[field]);
  Object.assign(chosen, fields);
  const write = changed.includes("group") ? "pushState" : "replaceState";
  history[write](null, "", address());
  if (changed.length) for (const listener of listeners) listener(changed);
}

window.addEventListener("popstate", () => {
  if (!isState()) return; // a link to a section
  readAddress();
  for (const listener of listeners) listener(FIELDS);
});
