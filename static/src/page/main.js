/**
 * What the page begins with: the rows, without React, which is loaded beside them and then takes
 * over.
 */

import { askForFirstBoard } from "./firstBoard.js";
import { drawFirstBoard } from "./firstRows.js";
import { language, localeIn, speak } from "./texts.js";
import { showTheme, storedTheme } from "./theme.js";
import { onWall } from "./wall.js";

const page = /** @type {HTMLElement} */ (document.getElementById("page"));

async function begin() {
  showTheme(storedTheme());
  document.documentElement.toggleAttribute("data-wall", onWall());
  await speak(localeIn(location.search, navigator.languages));
  document.documentElement.lang = language();
  const asked = askForFirstBoard(); // before the rest, which takes longer
  const rest = import("./takeOver.jsx");
  let taken = false;
  void asked.then((board) => {
    if (board && !taken) drawFirstBoard(page, board);
  });
  const { takeOver } = await rest;
  taken = true;
  takeOver(page);
}

void begin();
