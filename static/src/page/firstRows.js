/** The rows before React is there: the same, without what moves. */

import { coloursOf } from "../colours.js";
import { ranked } from "./ranked.js";
import { pointRoom, row } from "./row.js";
import { text } from "./texts.js";

/** An element of the document. @type {import("./row.js").Make} */
function element(tag, properties, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (name === "className") made.className = value;
    else if (name === "style") {
      for (const [property, text] of Object.entries(value)) made.style.setProperty(property, String(text));
    } else if (name !== "key") made.setAttribute(name, value);
  }
  made.append(...children.flat().filter((child) => child !== undefined && child !== null));
  return made;
}

/**
 * Draws a board into what the server has made of the page.
 *
 * @param {HTMLElement} page
 * @param {import("../board-stream.js").Board} board
 */
export function drawFirstBoard(page, board) {
  const { players } = board;
  const heading = page.querySelector("h1");
  if (heading) heading.textContent = board.name;
  const colourOf = coloursOf(players);
  if (players[0]) document.documentElement.style.setProperty("--leader", colourOf(players[0].id));
  const drawn = players.length
    ? element(
        "ol",
        { className: "rows", role: "list", "data-first": "", "aria-label": text("players") },
        ranked(players).map((facts) =>
          row(element, { ...facts, colour: colourOf(facts.id) }, { point: pointRoom(element) }),
        ),
      )
    : element("p", { className: "empty" }, text("nobody_yet"));
  page.querySelector(".standings")?.firstElementChild?.replaceWith(drawn);
}
