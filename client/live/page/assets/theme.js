// Sets the theme before anything is painted: the one chosen in this tab, or the system's.
document.documentElement.dataset.theme = sessionStorage.getItem("theme") ??
  (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
