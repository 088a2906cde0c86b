// Everything that can be focused has a name, ids are unique, and the roles have the company that they need.
() => {
  const faults = [];
  const name = (e) => e.getAttribute("aria-label") || (e.getAttribute("aria-labelledby") || "").split(" ").map((id) => document.getElementById(id)?.textContent ?? "").join("")
    || [...(e.labels ?? [])].map((l) => l.textContent).join("") || e.textContent.trim() || e.alt || "";
  const visible = (e) => e.checkVisibility();
  for (const e of document.querySelectorAll("a, button, input, select, [tabindex], [role=img], img, [role=region], [role=tree], [role=treeitem]"))
    if (visible(e) && !name(e).trim()) faults.push(`no name: ${e.outerHTML.slice(0, 80)}`);
  const ids = [...document.querySelectorAll("[id]")].map((e) => e.id);
  if (new Set(ids).size !== ids.length) faults.push("ids are not unique");
  for (const e of document.querySelectorAll("[aria-labelledby], label[for], output[for]"))
    for (const id of (e.getAttribute("aria-labelledby") ?? e.getAttribute("for")).split(" "))
      if (!document.getElementById(id)) faults.push(`no element ${id}`);
  for (const e of document.querySelectorAll("[role=treeitem]")) {
    if (!e.closest("[role=tree]")) faults.push("treeitem outside a tree");
    for (const needed of ["aria-level", "aria-setsize", "aria-posinset", "aria-selected"]) if (!e.hasAttribute(needed)) faults.push(`treeitem without ${needed}`);
  }
  if (document.querySelectorAll("[role=treeitem][tabindex='0']").length !== 1) faults.push("not one way into the tree");
  for (const e of document.querySelectorAll("table")) if (!e.caption) faults.push("a table without caption");
  for (const e of document.querySelectorAll("table th")) if (!e.scope) faults.push("a th without scope");
  for (const e of document.querySelectorAll("main > section")) if (!e.getAttribute("aria-labelledby")) faults.push("a section without name");
  const levels = [...document.querySelectorAll("h1, h2, h3")].filter(visible).map((e) => Number(e.tagName[1]));
  if (levels[0] !== 1 || levels.filter((l) => l === 1).length !== 1) faults.push("not one h1 at the top");
  levels.reduce((a, b) => { if (b > a + 1) faults.push(`h${a} then h${b}`); return b; });
  for (const landmark of ["main", "header", "nav"]) if (!document.querySelector(landmark)) faults.push(`no ${landmark}`);
  return faults;
}
