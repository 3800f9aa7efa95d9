import { absolute, withQuery } from "./addresses.js";
import { BoardStream } from "./board-stream.js";
import { PlayerStream } from "./player-stream.js";
import { Replay } from "./replay.js";
import { send } from "./requests.js";
import { submit } from "./submit.js";

/**
 * @typedef {import("./submit.js").Submission} Submission
 * @typedef {import("./submit.js").SubmitOptions} SubmitOptions
 * @typedef {import("./requests.js").RequestOptions} RequestOptions
 * @typedef {import("./stream-options.js").Options} StreamOptions
 *
 * @typedef {object} Ranked
 * @property {string} id
 * @property {string} name
 * @property {number} score
 * @property {number} rank
 * @property {number | null} [previous_rank]  the rank at `since`; null: that is not known
 * @property {Record<string, unknown>} [meta]
 *
 * @typedef {object} Which  one of the first four, or none for the best
 * @property {string} [around]    the player in the middle of the page
 * @property {number} [fromRank]  the page begins with the first player of this rank or a worse one
 * @property {string[]} [ids]     these players, up to 100
 * @property {string} [address]   `next` or `prev` of another page
 * @property {number} [limit]     1 to 1,000; 100 by default
 * @property {"meta"} [fields]
 * @property {Date | number | string} [since]  a time whose ranks are wanted, too; a date such as
 *   `2026-11-25` is the time of that day at which the first 1,000 places were kept; `season` is the
 *   end of the season before, `season:6` that of season 6
 * @property {number} [season]   a season that is over; the present one by default
 *
 * @typedef {object} Page
 * @property {number} count       how many players the board has
 * @property {Ranked[]} players   best first
 * @property {string[]} [missing] those of `ids` that are not there
 * @property {{time: string, resolution: number, season?: number} | null} [since]  the time that the
 *   ranks of then are of, for how many seconds before that there may have been other ones, and the
 *   season whose final ones they are; null: none is known
 * @property {string} [next]      where the page behind this one is, if there is one
 * @property {string} [prev]
 *
 * @typedef {object} Season
 * @property {number} number
 * @property {string} started
 * @property {string | null} [ends]  of the present one: when; null: when somebody ends it
 * @property {string} [ended]        of one that is over
 * @property {number | null} players  how many it has; null: that is not known at once
 * @property {import("./board-stream.js").Player[]} top  its best players
 *
 * @typedef {object} Seasons
 * @property {Season[]} seasons  the newest first
 * @property {string} [next]     where those before these are, if there are any
 */

/**
 * The boards of one server.
 *
 *     const boards = new Boards("https://boards.example", { token: () => session.token() });
 *     await boards.submit("race", "me", 120);
 *     boards.watch("race").addEventListener("update", ({ detail }) => show(detail.board));
 */
export class Boards {
  #server;
  #options;

  /**
   * @param {string | URL} server  its address, with the path that it is below
   * @param {Pick<RequestOptions & StreamOptions, "token" | "fetch" | "withCredentials" | "EventSource">} [options]
   *   for all streams and requests
   */
  constructor(server, options = {}) {
    this.#server = absolute(server).split("?", 1)[0].replace(/\/$/, "");
    this.#options = options;
  }

  /** Where a board is. @param {string} board  its id @returns {string} */
  boardAddress(board) {
    return `${this.#server}/boards/${segment(board)}/`;
  }

  /** @param {string} board @param {string} player  their ids @returns {string} */
  playerAddress(board, player) {
    return `${this.boardAddress(board)}players/${segment(player)}/`;
  }

  /**
   * Submits a score: `submit()` with the player's address.
   *
   * @param {string} board
   * @param {string} player
   * @param {number | Submission} submission
   * @param {SubmitOptions} [options]
   */
  submit(board, player, submission, options = {}) {
    const body = typeof submission === "number" ? { score: submission } : submission;
    const { token, fetch, withCredentials } = this.#options;
    const all = { ...defined({ token, fetch, withCredentials }), ...options };
    return submit(`${this.playerAddress(board, player)}score/`, body, all);
  }

  /** Listens to a board. @param {string} board @param {StreamOptions} [options] */
  watch(board, options = {}) {
    const url = `${this.boardAddress(board)}events/`;
    return new BoardStream(url, { ...defined(this.#options), ...options });
  }

  /**
   * Listens to where a player stands.
   *
   * @param {string} board
   * @param {string} player
   * @param {StreamOptions} [options]
   */
  watchPlayer(board, player, options = {}) {
    const url = `${this.playerAddress(board, player)}events/`;
    return new PlayerStream(url, { ...defined(this.#options), ...options });
  }

  /**
   * Plays what a board was.
   *
   * @param {string} board
   * @param {import("./replay.js").ReplayOptions} [options]
   */
  replay(board, options = {}) {
    const { token, fetch, withCredentials } = this.#options;
    const all = { ...defined({ token, fetch, withCredentials }), ...options };
    return new Replay(`${this.boardAddress(board)}history/`, all);
  }

  /**
   * The board with its best players.
   *
   * @param {string} board
   * @param {RequestOptions} [options]
   * @returns {Promise<import("./board-stream.js").Board>}
   */
  async board(board, options) {
    return (await this.#get(this.boardAddress(board), options)).json();
  }

  /**
   * A player with its rank.
   *
   * @param {string} board
   * @param {string} player
   * @param {RequestOptions} [options]
   * @returns {Promise<Ranked>}
   */
  async player(board, player, options) {
    return (await this.#get(this.playerAddress(board, player), options)).json();
  }

  /**
   * A page of the ranking.
   *
   * @param {string} board
   * @param {Which} [which]
   * @param {RequestOptions} [options]
   * @returns {Promise<Page>}
   */
  async page(board, which = {}, options) {
    const { around, fromRank, ids, limit, fields, season, since } = which;
    const then = since instanceof Date ? Number(since) : since;
    const place = { around, from_rank: fromRank, ids: ids?.join(",") };
    const query = { limit, fields, ...place, season, since: then };
    const address = which.address ?? withQuery(`${this.boardAddress(board)}players/`, query);
    const answer = await this.#get(address, options);
    return { ...answer.json(), ...links(answer.headers.get("Link") ?? "", address) };
  }

  /**
   * The pages of the ranking, one after the other, from the one that `which` says.
   *
   * @param {string} board
   * @param {Which} [which]
   * @param {RequestOptions} [options]
   * @returns {AsyncGenerator<Page, void>}
   */
  async *pages(board, which = {}, options) {
    for (let next = which; ; ) {
      const page = await this.page(board, next, options);
      yield page;
      if (!page.next) return;
      next = { address: page.next };
    }
  }

  /**
   * The seasons of a board, the newest first, the present one too.
   *
   * @param {string} board
   * @param {{limit?: number, before?: number, address?: string}} [which]  `limit`: 1 to 100, 10 by
   *   default; `before`: those before the season of this number; `address`: `next` of others
   * @param {RequestOptions} [options]
   * @returns {Promise<Seasons>}
   */
  async seasons(board, which = {}, options) {
    const { limit, before } = which;
    const path = `${this.boardAddress(board)}seasons/`;
    const address = which.address ?? withQuery(path, { limit, before });
    const answer = await this.#get(address, options);
    return { ...answer.json(), ...links(answer.headers.get("Link") ?? "", address) };
  }

  /** @param {string} address @param {RequestOptions} [options] */
  #get(address, options = {}) {
    const { token, fetch, withCredentials } = this.#options;
    const all = { ...defined({ token, fetch, withCredentials }), ...options };
    return send(address, { method: "GET" }, all);
  }
}

/** An id as a step of a path. @param {string} id @returns {string} */
function segment(id) {
  // Parsers of addresses take these for the folder itself and the one above, percent-encoded too.
  if (id === "" || id === "." || id === "..") throw new TypeError(`${JSON.stringify(id)} is no id`);
  return encodeURIComponent(id);
}

/** `options` without what is undefined. @template {object} T @param {T} options @returns {T} */
function defined(options) {
  return /** @type {T} */ (
    Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined))
  );
}

/**
 * What a `Link` header (RFC 8288) of this server's says.
 *
 * @param {string} header
 * @param {string} base  the address that it belongs to
 * @returns {{next?: string, prev?: string}}
 */
function links(header, base) {
  /** @type {Record<string, string>} */
  const found = {};
  for (const link of header.split(/,(?=\s*<)/)) {
    const target = /^\s*<([^>]*)>/.exec(link)?.[1];
    const relation = /;\s*rel="?([a-z]+)/.exec(link)?.[1];
    if (target && relation) found[relation] = absolute(target, base);
  }
  return { ...(found.next && { next: found.next }), ...(found.prev && { prev: found.prev }) };
}
