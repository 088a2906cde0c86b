// Once the page is painted, everything that needs its data is drawn.

async function start() {
  readAddress();
  if (goElsewhere(chosen, "replace")) return;
  setUpTheme();
  setUpGlossary();
  setUpTabs();
  setUpTrend();
  setUpFilters();
  setUpHistogram();
  setUpGroups();
  setUpExplorer();
  setUpSave();
  setUpKeys();
  setUpMarks();
  showFilters();
  showStep();
  showTab();
  window.scrollTo({ top: 0, behavior: "instant" }); // the browser went to where the tab was before others were hidden
  search();
  await tell(["group"]);
  if (location.hash.includes(":")) land();
  goOn();
  document.documentElement.dataset.ready = "true";
}

requestAnimationFrame(() => setTimeout(start));
