import { useCallback, useEffect, useState } from "react";

/**
 * A list that is read page by page, the first one at once: its `items` so far, null before there are
 * any, and the address of the `next` page; `read(next)` adds that, `read()` begins anew.
 *
 * @param {(address?: string) => Promise<object>} ask  gives a page; another function is another list
 * @param {string} key  what a page has its items as
 * @param {(error: Error) => void} onTrouble
 */
export function usePages(ask, key, onTrouble) {
  const [items, setItems] = useState(null);
  const [next, setNext] = useState(undefined);
  const read = useCallback(
    async (address) => {
      try {
        const page = await ask(address);
        setItems((now) => (address ? [...now, ...page[key]] : page[key]));
        setNext(page.next);
      } catch (error) {
        onTrouble(error);
      }
    },
    [ask, key, onTrouble],
  );
  useEffect(() => void read(), [read]);
  return { items, setItems, next, read };
}
