// Once the page is painted, everything that needs its data is drawn.

function start() {
  setUpTheme();
  readAddress();
  setUpTrend();
  setUpGroups();
  setUpExplorer();
  showStep();
  showTable();
  showGroup();
  document.documentElement.dataset.ready = "true";
}

requestAnimationFrame(() => setTimeout(start));
