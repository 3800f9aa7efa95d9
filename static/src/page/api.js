/** The calls of the HTTP API that the page makes, with the token that was entered on it. */

import { token } from "./token.js";

/** The path that the server is below, `/` or `/.../`, as it says in the page. */
const BASE = globalThis.document?.documentElement.dataset.base ?? "/";

/** An answer that is no success; `message` is the server's own explanation. */
export class ApiError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

async function call(path, options = {}, held = token()) {
  const { method = "GET", body, signal } = options;
  const answer = await fetch(path, {
    method,
    signal,
    headers: {
      Accept: "application/json",
      ...(held && { Authorization: `Bearer ${held}` }),
      ...(body === undefined ? {} : { "Content-Type": "application/json" }),
    },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  // Whose token is no good reads like everybody.
  if (answer.status === 401 && held && method === "GET") return call(path, options, "");
  if (!answer.ok) {
    // A proxy that refuses may do so in HTML.
    const problem = await answer.json().catch(() => ({}));
    throw new ApiError(answer.status, problem.detail || `The server answered ${answer.status}.`);
  }
  return answer;
}

const json = async (path, options) => (await call(path, options)).json();
const boardPath = (board) => `${BASE}boards/${encodeURIComponent(board)}/`;
const playerPath = (board, player) =>
  `${boardPath(board)}players/${encodeURIComponent(player)}/`;

/** Where the events of `board` come from. */
export const eventsPath = (board) => `${boardPath(board)}events/`;

/** Where the past of `board` is. */
export const historyPath = (board) => `${boardPath(board)}history/`;

/** The first boards, `[{id, name}]`: `limit` of them, or as many as the server lists at once. */
export const getBoards = async (limit) =>
  (await json(`${BASE}boards/${limit ? `?limit=${limit}` : ""}`)).boards;

/** The board with its best players. */
export const getBoard = (board) => json(boardPath(board));

/** Makes a board; `{id, name}`. */
export const addBoard = (name) => json(`${BASE}boards/`, { method: "POST", body: { name } });

/** Adds a player that starts with `score`; `{id, name, score}`. */
export const addPlayer = (board, name, score) =>
  json(`${boardPath(board)}players/`, { method: "POST", body: { name, score } });

/** `{id, name, score, rank}`. */
export const getPlayer = (board, player, signal) => json(playerPath(board, player), { signal });

/** The ranks that the best `count` had at `time`, as far as they are known: a Map by player. */
export async function getRanks(board, count, time, signal) {
  const path = `${boardPath(board)}players/?limit=${count}&since=${time}`;
  const { players } = await json(path, { signal });
  return new Map(players.map(({ id, previous_rank }) => [id, previous_rank]));
}

/** Adds `amount` to a player's score; the player as it stands after it. */
export const addScore = (board, player, amount) =>
  json(`${playerPath(board, player)}score-add/`, { method: "POST", body: { amount } });

/**
 * The newest events of `board` that the replay log holds, oldest first, and how far this clock is
 * ahead of the server's, in milliseconds and give or take a second.
 */
export async function getHistory(board, signal) {
  const answer = await call(`${eventsPath(board)}?history=100`, { signal });
  const { events } = await answer.json();
  const now = Date.parse(answer.headers.get("Date") ?? "");
  return { events, ahead: Number.isNaN(now) ? 0 : Date.now() - now };
}
