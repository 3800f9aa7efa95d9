import { useCallback, useEffect, useState } from "react";
import { ID } from "./ids.js";

/** Where it is remembered who is looking. */
const KEY = "tornado_board me";

/** @param {string | null} text @returns {string} an id, or "" */
const idIn = (text) => (text !== null && ID.test(text) ? text : "");

function known() {
  const asked = idIn(new URLSearchParams(location.search).get("me"));
  if (asked) return asked;
  try {
    return idIn(localStorage.getItem(KEY));
  } catch {
    return ""; // storage may be forbidden
  }
}

/**
 * The id of the player who is looking, "" for none, and how to say who it is. The address has it,
 * so that it can be passed on, and the browser remembers it.
 *
 * @returns {[string, (id: string) => void]}
 */
export function useMe() {
  const [me, setMe] = useState(known);
  const tell = useCallback((/** @type {string} */ id) => {
    const query = new URLSearchParams(location.search);
    if (id) query.set("me", id);
    else query.delete("me");
    history.replaceState(null, "", `?${query}`);
    try {
      if (id) localStorage.setItem(KEY, id);
      else localStorage.removeItem(KEY);
    } catch {
      // as above
    }
    setMe(id);
  }, []);
  return [me, tell];
}
