import { absolute } from "../../addresses.js";
import { Boards } from "../../boards.js";
import { newKey, send } from "../../requests.js";

/** How many boards are listed at once. */
const BOARDS = 200;

/**
 * The calls of the HTTP API that manage boards. What changes something is sent again where that may
 * help, and counts once. All throw `RequestError`s, whose messages are the server's own.
 */
export class Management {
  #server;
  #token;

  /**
   * @param {string | URL} server
   * @param {() => string} token  "" for none
   */
  constructor(server, token) {
    this.#server = absolute(server).replace(/\/$/, "");
    this.#token = token;
    /** Its pages are read with the same token. */
    this.reading = new Boards(server, { token });
  }

  /** The boards in the order of their ids. @param {string} [next] */
  boards(next) {
    return this.#page(next ?? `/boards/?limit=${BOARDS}`);
  }

  /** A board with its settings, and its number of players as `count`. @param {string} id */
  board(id) {
    return this.#send("GET", `/boards/${encodeURIComponent(id)}/?fields=settings,count&limit=1`);
  }

  /** @param {object} body */
  makeBoard(body) {
    return this.#send("POST", "/boards/", body);
  }

  /** @param {string} id @param {object} changes */
  changeBoard(id, changes) {
    return this.#send("PATCH", `/boards/${encodeURIComponent(id)}/`, changes);
  }

  /** @param {string} id */
  deleteBoard(id) {
    return this.#send("DELETE", `/boards/${encodeURIComponent(id)}/`);
  }

  /** @param {string} board @param {{id?: string, name: string, score: number}} player */
  addPlayer(board, player) {
    return this.#send("POST", `${this.#players(board)}`, player);
  }

  /** @param {string} board @param {string} id @param {object} changes  of name, score, hidden */
  changePlayer(board, id, changes) {
    return this.#send("PATCH", `${this.#players(board)}${encodeURIComponent(id)}/`, changes);
  }

  /** @param {string} board @param {string} id */
  deletePlayer(board, id) {
    return this.#send("DELETE", `${this.#players(board)}${encodeURIComponent(id)}/`);
  }

  /** Those who are hidden, in the order of their ids. @param {string} board @param {string} [next] */
  async hidden(board, next) {
    const path = next ?? `${this.#players(board)}?hidden=true&limit=100`;
    return this.#page(path);
  }

  /** The seasons, the newest first. @param {string} board @param {string} [next] */
  seasons(board, next) {
    return this.#page(next ?? `/boards/${encodeURIComponent(board)}/seasons/?limit=10`);
  }

  /** Ends the season of this number, if it is the present one. @param {string} board @param {number} number */
  endSeason(board, number) {
    return this.#send("POST", `/boards/${encodeURIComponent(board)}/seasons/`, { season: number });
  }

  /** One result a row, in their order. @param {string} board @param {object[]} rows @param {AbortSignal} signal */
  submit(board, rows, signal) {
    const path = `/boards/${encodeURIComponent(board)}/scores/`;
    return this.#send("POST", path, rows, { signal, timeout: 60_000, within: 300_000 });
  }

  /** @param {string} board */
  #players = (board) => `/boards/${encodeURIComponent(board)}/players/`;

  /** An answer with `next`, where the next page is if there is one. @param {string} path */
  async #page(path) {
    const answer = await this.#answer("GET", path);
    const next = /<([^>]*)>;\s*rel="?next/.exec(answer.headers.get("Link") ?? "")?.[1];
    return { ...answer.json(), next: next && new URL(next, this.#server).href };
  }

  async #send(method, path, body, options) {
    const answer = await this.#answer(method, path, body, options);
    return answer.status === 204 ? null : answer.json();
  }

  #answer(method, path, body, options = {}) {
    const url = /^https?:/.test(path) ? path : this.#server + path;
    const once = method === "POST" || method === "PATCH";
    const headers = once ? { "Idempotency-Key": newKey() } : {};
    return send(url, { method, headers, body }, { retries: 2, token: this.#token, ...options });
  }
}
