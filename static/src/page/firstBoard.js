/**
 * The board that came with the page, if there is one.
 *
 * @type {import("../board-stream.js").Board | null}
 */
let board = read();

function read() {
  const element = globalThis.document?.getElementById("first-board");
  try {
    return element ? JSON.parse(element.textContent) : null;
  } catch {
    return null; // cut off by something on the way
  }
}

/** It, until something newer was heard. */
export const firstBoard = () => board;

/** Something newer was heard. */
export function forgetFirstBoard() {
  board = null;
}
