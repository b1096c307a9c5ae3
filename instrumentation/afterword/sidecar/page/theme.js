// Before the first paint: a chosen theme must not flash.
try {
  const theme = localStorage.getItem("afterword-theme");
  if (theme === "dark" || theme === "light") document.documentElement.dataset.theme = theme;
} catch {
  // Storage is forbidden.
}
