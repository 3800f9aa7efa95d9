import { ID } from "./ids.js";

/**
 * Finds players by what people know of them: an id, or a part of a name. The server has an index of
 * ids and of ranks, and none of names. So an id is found wherever its player stands, and a name among
 * the best, a page after the other as far as one wants to look.
 *
 * @typedef {import("../boards.js").Ranked} Ranked
 *
 * @typedef {object} Found
 * @property {string} sought
 * @property {Ranked[]} players  best first, `MOST_FOUND` at the most
 * @property {number} total      how many were found
 * @property {number} among      how many of the best were looked at
 * @property {string} [next]     where the players behind those are, if there are any
 */

/** How many players are looked at at once, as many as the server sends. */
export const AMONG = 1_000;
/** How many are shown. */
export const MOST_FOUND = 10;

/** `text` without what people leave out when they type: case, accents. @param {string} text */
export const folded = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase().trim();

/**
 * @param {Pick<import("../boards.js").Boards, "page">} boards
 * @param {string} board
 * @param {string} sought
 * @param {{from?: Found, signal?: AbortSignal}} [options]  `from`: to look further than that did
 * @returns {Promise<Found>}
 */
export async function search(boards, board, sought, { from, signal } = {}) {
  const options = { retries: 1, signal };
  const which = from?.next ? { address: from.next } : { limit: AMONG };
  const asksForId = !from && ID.test(sought);
  const [page, named] = await Promise.all([
    boards.page(board, which, options),
    asksForId ? boards.page(board, { ids: [sought] }, options) : { players: [] },
  ]);
  const wanted = folded(sought);
  const byName = wanted ? page.players.filter(({ name }) => folded(name).includes(wanted)) : [];
  const known = new Set(from?.players.map(({ id }) => id));
  const fresh = new Map([...named.players, ...byName].map((one) => [one.id, one]));
  const all = new Map([...(from?.players ?? []), ...fresh.values()].map((one) => [one.id, one]));
  return {
    sought,
    players: [...all.values()].toSorted((a, b) => a.rank - b.rank).slice(0, MOST_FOUND),
    total: (from?.total ?? 0) + [...fresh.keys()].filter((id) => !known.has(id)).length,
    among: (from?.among ?? 0) + page.players.length,
    next: page.next,
  };
}
