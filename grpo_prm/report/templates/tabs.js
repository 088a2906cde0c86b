// One part of the page at a time: a tab each.

function setUpTabs() {
  for (const link of document.querySelectorAll("a[data-tab]")) {
    link.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      choose({ tab: link.dataset.tab }).then(() => window.scrollTo({ top: 0, behavior: "instant" }));
    });
  }
  for (const link of document.querySelectorAll("a[data-group]")) {
    const group = Number(link.dataset.group);
    link.setAttribute("href", `#${ADDRESSES[ROW_OF.get(group)]}`);
    link.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      openGroup(group).then(land);
    });
  }
  listeners.push((changed) => changed.includes("tab") && showTab());
}

function showTab() {
  for (const tab of TABS) byId(tab).hidden = tab !== chosen.tab;
  for (const link of document.querySelectorAll(".top a[data-tab]")) {
    if (link.dataset.tab === chosen.tab) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (chosen.tab === "groups") {
    showTable();
    showGroup();
  }
}

function openGroup(group) {
  return choose({ tab: "groups", group, process: null, completion: null });
}

// At the heading of the group, from which Tab and the arrow keys go on.
function land() {
  if (chosen.tab !== "groups") return;
  byId("detail").scrollTop = 0;
  if (!byId("detail").contains(document.activeElement)) byId("tree-title").focus({ preventScroll: true });
  if (stacked()) byId("tree").scrollIntoView({ behavior: "instant" });
}

// Whether the group stands below the list.
const stacked = () => window.matchMedia("(max-width: 799px)").matches;
