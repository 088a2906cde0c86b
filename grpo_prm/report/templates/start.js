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
  if (FIELDS.slice(0, 3).some((field) => location.hash.includes(`${field}=`))) byId("tree").scrollIntoView();
  goOn();
  document.documentElement.dataset.ready = "true";
}

requestAnimationFrame(() => setTimeout(start));
