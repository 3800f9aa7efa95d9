// The wall: a board that moves. When an evening ends it shows who won, and then the next one.
//
// wall.html?boards=https://boards.example/&board=quiz

import { follow } from "./follow.js";

const asked = new URLSearchParams(location.search);
const boards = asked.get("boards") ?? "http://localhost:8888/";
const id = asked.get("board") ?? "quiz";

/** How long the winners of an evening are shown. */
const HONOURS = 20_000;

const title = document.querySelector("h1 span");
const status = document.querySelector("[role=status]");
const list = document.querySelector("ol");
/** The row of each team. */
let rows = new Map();
let honoured = 0;
let waiting;

follow(new URL(`boards/${encodeURIComponent(id)}/events/`, boards), {
  update(board) {
    clearTimeout(waiting);
    waiting = setTimeout(show, honoured - Date.now(), board, `Evening ${board.season?.number ?? 1}`);
  },
  season(board) {
    honoured = Date.now() + HONOURS;
    show(board, `Evening ${board.season.number} is over`, true);
  },
  state(live) {
    status.textContent = live ? "" : "reconnecting …";
  },
});

function show({ name, players }, evening, over = false) {
  title.textContent = `${name} · ${evening}`;
  list.classList.toggle("over", over);
  const tops = new Map([...list.children].map((row) => [row, row.offsetTop]));
  const most = Math.max(1, ...players.map(({ score }) => score));
  let rank = 1;
  const shown = players.map((team, place) => {
    if (place > 0 && team.score < players[place - 1].score) rank = place + 1; // 1, 2, 2, 4
    const row = rows.get(team.id) ?? newRow();
    const [number, called, score] = row.children;
    number.textContent = rank;
    called.textContent = team.name; // as text, whatever a team calls itself
    score.textContent = team.score.toLocaleString();
    row.style.setProperty("--share", Math.max(0, team.score / most));
    return row;
  });
  rows = new Map(players.map(({ id }, place) => [id, shown[place]]));
  list.replaceChildren(...shown);
  if (matchMedia("(prefers-reduced-motion: reduce)").matches) return;
  for (const row of shown) {
    const from = (tops.get(row) ?? row.offsetTop) - row.offsetTop;
    row.animate([{ transform: `translateY(${from}px)` }, {}], { duration: 800, easing: "ease-out" });
  }
}

function newRow() {
  const row = document.createElement("li");
  for (const part of ["span", "span", "b"]) row.append(document.createElement(part));
  return row;
}
