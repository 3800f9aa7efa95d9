/**
 * The token that was entered on the page: for this tab only, and never in an address. It opens private
 * boards and lets boards be managed.
 */

const KEY = "tornado_board token";
let kept = "";
/** Who wants to know of another token. @type {Set<() => void>} */
const listeners = new Set();

/** It, "" for none. Storage may be forbidden; then it lasts as long as the page. */
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
  for (const listener of listeners) listener();
}

/** Calls `listener` when there is another token; what is given back ends that. @param {() => void} listener */
export function onToken(listener) {
  listeners.add(listener);
  return () => void listeners.delete(listener);
}

/**
 * What lets reads in: the token, and nothing where that was refused, since what everybody may read
 * needs none.
 *
 * @type {import("../credentials.js").Credential}
 */
export const readingToken = ({ renew }) => (renew ? "" : token());

/** The same for a stream, which goes on as it was let in last; no option at all without a token. */
export function streamToken() {
  if (!token()) return {};
  let refused = false;
  /** @type {import("../credentials.js").Credential} */
  const secret = ({ renew }) => {
    refused ||= renew;
    return refused ? "" : token();
  };
  return { token: secret };
}
