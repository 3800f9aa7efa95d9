/** The board that the page begins with: it came with the page, or is asked for at once. */

import { getBoard, getBoards } from "./api.js";
import { ID } from "./ids.js";
import { wallIn } from "./wall.js";

/** @typedef {import("../board-stream.js").Board} Board */

/** @type {Board | null} */
let board = read();

/** @returns {Board | null} */
function read() {
  const element = globalThis.document?.getElementById("first-board");
  try {
    return element ? JSON.parse(element.textContent ?? "") : null;
  } catch {
    return null; // cut off by something on the way
  }
}

/** Whether the server says that there are boards to choose from: it has left room for them. */
export const amongSeveral = Boolean(globalThis.document?.querySelector("#page .boards"));

/** It, until something newer was heard; null where there is none yet. */
export const firstBoard = () => board;

/** Something newer was heard. */
export function forgetFirstBoard() {
  board = null;
}

/** The board that the address names, "" for none. */
export const boardInAddress = () =>
  new URLSearchParams(location.search).get("board") ?? wallIn(location.search).boards[0] ?? "";

/**
 * The same, asked of the server where the page came without.
 *
 * @returns {Promise<Board | null>} null where it can't be had; the page itself finds out why
 */
export async function askForFirstBoard() {
  if (board) return board;
  try {
    const id = boardInAddress() || (await getBoards(1))[0]?.id || "";
    if (ID.test(id)) board = await getBoard(id);
  } catch {
    // as above
  }
  return board;
}
