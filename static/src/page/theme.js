/** Whether the page is light or dark, whatever the system says. */

const KEY = "theme";

/** @typedef {"auto" | "light" | "dark"} Theme */

/** The one that was chosen here. @returns {Theme} */
export function storedTheme() {
  try {
    const known = localStorage.getItem(KEY);
    return known === "light" || known === "dark" ? known : "auto";
  } catch {
    return "auto"; // storage may be forbidden; then a choice lasts as long as the page
  }
}

/** @param {Theme} theme */
export function showTheme(theme) {
  document.documentElement.dataset.theme = theme;
}

/** @param {Theme} theme */
export function keepTheme(theme) {
  try {
    localStorage.setItem(KEY, theme);
  } catch {
    // as above
  }
}
