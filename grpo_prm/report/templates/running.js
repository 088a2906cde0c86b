// The page of a run that goes on is written again as steps come: it loads itself while nobody uses it, and keeps its place.

function goOn() {
  if (!DATA.running) return;
  takePlace(history.state?.place);
  history.scrollRestoration = "manual"; // what is drawn later would leave the browser at another place
  let touched = Date.now();
  for (const event of ["pointermove", "pointerdown", "keydown", "wheel", "touchmove"]) {
    window.addEventListener(event, () => { touched = Date.now(); }, { passive: true });
  }
  setInterval(() => {
    if (document.hidden || Date.now() - touched < DATA.running || !getSelection().isCollapsed) return;
    history.replaceState({ place: place() }, "");
    location.reload();
  }, DATA.running / 10);
}

// What the address does not hold; the bars are left out, since their bins change as groups come.
function place() {
  const { search, which, sort, descending, page } = view;
  return { top: window.scrollY, theme: document.documentElement.dataset.theme, view: { search, which, sort, descending, page } };
}

function takePlace(kept) {
  if (!kept) return;
  if (kept.theme && kept.theme !== document.documentElement.dataset.theme) byId("theme").click();
  byId("search").value = kept.view.search;
  byId("which").value = kept.view.which;
  refilter(kept.view);
  window.scrollTo({ top: kept.top, behavior: "instant" });
}
