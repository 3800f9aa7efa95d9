/** The token of whoever manages boards: for this tab only, and never in an address. */

const KEY = "tornado_board token";
let kept = "";

/** Storage may be forbidden; then it lasts as long as the page. */
export function token() {
  try {
    return sessionStorage.getItem(KEY) ?? kept;
  } catch {
    return kept;
  }
}

/** @param {string} value  "" to forget it */
export function keepToken(value) {
  kept = value;
  try {
    if (value) sessionStorage.setItem(KEY, value);
    else sessionStorage.removeItem(KEY);
  } catch {
    // as above
  }
}
