/**
 * A window on a ranking of any length: some pages of it that follow on each other, and where they
 * stand in a list that is as high as all of it.
 *
 * @typedef {import("../boards.js").Page} Page
 *
 * @typedef {object} Window
 * @property {Page[]} pages
 * @property {number} first  the index of the first player in `pages`, among all, from 0
 * @property {number} top    where that stands, in pixels
 * @property {number} count  how many players there are
 */

/** The height of a row, in pixels; what css says, too. */
export const ROW = 44;
/** The highest list: browsers have a limit, Firefox's is 17.8 million pixels. */
export const MOST_HEIGHT = 8_000_000;
/** How many pages are kept. */
export const MOST_PAGES = 10;

/** @param {Window} window */
const rows = ({ pages }) => pages.reduce((sum, { players }) => sum + players.length, 0);

/** How high the list is. @param {Window} window */
export function heightOf(window) {
  const below = window.pages.at(-1)?.next ? ROW : 0;
  const whole = Math.min(window.count * ROW, MOST_HEIGHT);
  return Math.max(whole, window.top + rows(window) * ROW + below);
}

/**
 * A window on one page.
 *
 * @param {Page} page
 * @param {number} [seen]  where the list was scrolled to, in pixels
 * @returns {Window}
 */
export function open(page, seen = 0) {
  // Whoever is first of those with the same score has as many before them as the rank says.
  const tied = page.players.findIndex(({ rank }) => rank !== page.players[0].rank);
  const first = !page.prev ? 0 : tied > 0 ? page.players[tied].rank - 1 - tied : rankOf(page) - 1;
  const exact = page.count * ROW <= MOST_HEIGHT;
  return { pages: [page], first, top: exact || !page.prev ? first * ROW : seen, count: page.count };
}

/** @param {Page} page */
const rankOf = (page) => page.players[0]?.rank ?? 1;

/** With one more page behind. @param {Window} window @param {Page} page @returns {Window} */
export function append(window, page) {
  const pages = [...window.pages, page];
  let { first, top } = window;
  while (pages.length > MOST_PAGES) {
    const { players } = /** @type {Page} */ (pages.shift());
    first += players.length;
    top += players.length * ROW;
  }
  return { pages, first, top, count: page.count };
}

/** With one more page before. @param {Window} window @param {Page} page @returns {Window} */
export function prepend(window, page) {
  const pages = [page, ...window.pages].slice(0, MOST_PAGES);
  const first = window.first - page.players.length;
  const top = window.top - page.players.length * ROW;
  // Nobody is before the first page, wherever that was thought to be.
  return page.prev ? { pages, first, top, count: page.count } : { pages, first: 0, top: 0, count: page.count };
}

/**
 * What has to be read for what is in sight.
 *
 * @param {Window} window
 * @param {number} top     what is in sight, in pixels
 * @param {number} height
 * @returns {{next: string} | {prev: string} | {fromRank: number} | null}
 */
export function wanted(window, top, height) {
  const bottom = window.top + rows(window) * ROW;
  const far = 2 * height;
  const { next } = window.pages.at(-1) ?? {};
  const { prev } = window.pages[0] ?? {};
  if ((top > bottom + far && next) || (top + height < window.top - far && prev)) {
    const index = Math.floor((top / heightOf(window)) * window.count);
    return { fromRank: Math.max(1, Math.min(index, window.count - 1) + 1) };
  }
  if (next && top + height > bottom - height) return { next };
  if (prev && top < window.top + height) return { prev };
  return null;
}

/**
 * The players to draw, with the index and the place of each.
 *
 * @param {Window} window
 * @param {number} top
 * @param {number} height
 */
export function inSight(window, top, height) {
  const players = window.pages.flatMap(({ players }) => players);
  const from = Math.max(0, Math.floor((top - window.top) / ROW) - 5);
  const to = Math.ceil((top + height - window.top) / ROW) + 5;
  return players.slice(from, Math.max(from, to)).map((player, i) => ({
    player,
    index: window.first + from + i,
    top: window.top + (from + i) * ROW,
  }));
}
