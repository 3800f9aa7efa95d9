// The board that is chosen, live. It is kept in the address, so that it can be linked to.
"use strict";

const byId = (id) => document.getElementById(id);
let stream = null;

function say(text) {
  byId("message").textContent = text;
}

async function request(path, options) {
  const response = await fetch(path, options);
  const body = await response.json().catch(() => ({}));
  if (!response.ok) {
    throw new Error(body.detail || `the server answered ${response.status}`);
  }
  return body;
}

const boardPath = (board) => `/boards/${encodeURIComponent(board)}/`;

async function add(board, player) {
  const path = `${boardPath(board)}players/${encodeURIComponent(player)}/score-add/`;
  try {
    await request(path, { method: "POST" });
    say("");
  } catch (error) {
    say(error.message);
  }
}

function show(board) {
  byId("name").textContent = board.name;
  document.title = board.name;
  // Rows are kept per player, so that a button does not lose the focus when a score changes.
  const body = byId("players");
  const rows = new Map([...body.children].map((row) => [row.dataset.player, row]));
  const focused = document.activeElement;
  let rank = 0;
  const next = board.players.map((player, index) => {
    if (index === 0 || player.score !== board.players[index - 1].score) {
      rank = index + 1;
    }
    const row = rows.get(player.id) || newRow(board.id, player.id);
    row.children[0].textContent = rank;
    row.children[1].textContent = player.name;
    row.children[2].textContent = player.score;
    row.querySelector("button").setAttribute("aria-label", `Add 1 to ${player.name}`);
    return row;
  });
  body.replaceChildren(...next);
  if (focused && body.contains(focused)) {
    focused.focus();
  }
}

function newRow(board, player) {
  const row = document.createElement("tr");
  row.dataset.player = player;
  for (let i = 0; i < 3; i++) {
    row.append(document.createElement("td"));
  }
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "+1";
  button.addEventListener("click", () => add(board, player));
  const cell = document.createElement("td");
  cell.append(button);
  row.append(cell);
  return row;
}

function watch(board) {
  if (stream) {
    stream.close();
  }
  byId("players").replaceChildren();
  history.replaceState(null, "", `#${board}`);
  stream = new EventSource(boardPath(board));
  stream.onopen = () => { byId("state").textContent = "live"; };
  stream.onerror = () => {
    const ended = stream.readyState === EventSource.CLOSED;
    byId("state").textContent = ended ? "not available" : "reconnecting";
  };
  stream.addEventListener("update", (event) => show(JSON.parse(event.data)));
}

async function start() {
  const select = byId("boards");
  try {
    const { boards } = await request("/boards/");
    select.replaceChildren(...boards.map((board) => new Option(board.name, board.id)));
  } catch (error) {
    say(error.message);
    return;
  }
  select.addEventListener("change", () => watch(select.value));
  const linked = decodeURIComponent(location.hash.slice(1));
  if ([...select.options].some((option) => option.value === linked)) {
    select.value = linked;
  }
  if (select.value) {
    watch(select.value);
  } else {
    byId("state").textContent = "no boards yet";
  }
}

start();
