// The page of a run that goes on is written again as steps come: it loads itself while nobody uses it, and keeps its place.

const SCROLLED = ["rows", "detail"];

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

// What the address does not hold.
function place() {
  const { sort, descending, page } = view;
  const within = Object.fromEntries(SCROLLED.map((id) => [id, byId(id).scrollTop]));
  return { top: window.scrollY, within, theme: document.documentElement.dataset.theme, view: { sort, descending, page } };
}

function takePlace(kept) {
  if (!kept) return;
  if (kept.theme && kept.theme !== document.documentElement.dataset.theme) byId("theme").click();
  Object.assign(view, kept.view);
  showTable();
  for (const id of SCROLLED) byId(id).scrollTop = kept.within[id];
  window.scrollTo({ top: kept.top, behavior: "instant" });
}
