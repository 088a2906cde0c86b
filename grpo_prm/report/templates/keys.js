// Keys that work everywhere but in fields, and the list of them.

const KEYS = {
  "/": () => choose({ tab: "groups" }).then(() => byId("search").select()),
  j: () => step(1),
  k: () => step(-1),
  "]": () => treeOf() && onGroups() && follow(treeOf(), 1),
  "[": () => treeOf() && onGroups() && follow(treeOf(), -1),
  "?": () => byId("help").showModal(),
};

const onGroups = () => chosen.tab === "groups";

// Where keys write or choose something of their own.
const writes = (element) => element?.matches?.("input:not([type=checkbox], [type=radio], [type=range]), select, textarea, [contenteditable]");

function setUpKeys() {
  document.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey || byId("help").open || writes(event.target)) return;
    if (!Object.hasOwn(KEYS, event.key)) return;
    event.preventDefault();
    KEYS[event.key]();
  });
  byId("help-open").addEventListener("click", KEYS["?"]);
  byId("help-close").addEventListener("click", () => byId("help").close());
}
