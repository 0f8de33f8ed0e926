// The theme, before anything is painted: the one that was chosen in this tab, or the one that the system prefers.
document.documentElement.dataset.theme = sessionStorage.getItem("theme") ??
  (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
