import { useCallback, useEffect, useRef, useState } from "react";
import { useToken } from "./useToken.js";

/** What is said to writes where one may only look: log in, not you, not this way. */
const REFUSALS = new Set([401, 403, 405]);
/** Where a refusal is remembered for as long as the tab is open. */
const KEY = "tornado_board read-only";

/** Whether `error` says that this visitor may not change boards. */
export const isRefusal = (error) => REFUSALS.has(error?.status);

/** Whether the setting or the address asks for a page that only shows; null where neither says. */
function isAsked() {
  if ("readOnly" in document.documentElement.dataset) return true;
  const asked = new URLSearchParams(location.search).get("readonly");
  return asked === null ? null : asked !== "0";
}

/** Whether boards may be managed on this page: a refusal of who has no token is no reason against. */
export const canManage = () => isAsked() !== true;

/** Whether the server, the address (`?readonly`) or an earlier refusal says that there is only looking. */
function known() {
  const asked = isAsked();
  if (asked !== null) return asked;
  try {
    return sessionStorage.getItem(KEY) === location.pathname;
  } catch {
    return false; // storage may be forbidden
  }
}

/** Forgets an earlier refusal. */
function forget() {
  try {
    sessionStorage.removeItem(KEY);
  } catch {
    // as above
  }
}

/**
 * Whether the page is to show nothing that changes boards, and what to call with the error of a
 * write: it gives back whether that was a refusal, after which the page is read-only.
 *
 * @returns {[boolean, (error: Error) => boolean]}
 */
export function useReadOnly() {
  const [readOnly, setReadOnly] = useState(known);
  const held = useToken();
  const refusedWith = useRef(held);
  // What one token may not, another one may.
  useEffect(() => {
    if (held === refusedWith.current) return;
    refusedWith.current = held;
    forget();
    setReadOnly(known());
  }, [held]);
  const refused = useCallback((error) => {
    if (!isRefusal(error)) return false;
    setReadOnly(true);
    try {
      sessionStorage.setItem(KEY, location.pathname);
    } catch {
      // as above
    }
    return true;
  }, []);
  return [readOnly, refused];
}
