// Runs before the first paint, so that a chosen theme never flashes into the other one.
try {
  const theme = localStorage.getItem("afterword-theme");
  if (theme === "dark" || theme === "light") document.documentElement.dataset.theme = theme;
} catch {
  // Storage is forbidden: the system's preference holds.
}
