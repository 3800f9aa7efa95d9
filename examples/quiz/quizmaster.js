// The quizmaster's desk: makes teams, gives them points, and ends the evening.
//
// The token is typed in. It stays in this tab, is sent in a header, and stands in no address. Where
// it is sent is typed in, too, and not taken from an address, which somebody else may have made.

import { follow } from "./follow.js";

const POINTS = [1, 2, 5, -1];
const TRIES = 5;

const find = (selector) => document.querySelector(selector);
const [desk, main, list, team, over] = ["#desk", "main", "ul", "#team", "#over"].map(find);
const [alert, status] = ["[role=alert]", "[role=status]"].map(find);
/** The board's address, the token, and the evening. */
let board, token, evening;

const fields = desk.querySelectorAll("input");
for (const field of fields) field.value = sessionStorage[field.name] ?? field.value;

desk.addEventListener("submit", (event) => {
  event.preventDefault();
  for (const { name, value } of fields) sessionStorage[name] = value;
  board = new URL(`boards/${encodeURIComponent(desk.board.value)}/`, desk.boards.value);
  token = desk.token.value;
  desk.hidden = true;
  main.hidden = false;
  follow(new URL("events/", board), { update: show, season() {}, state });
});

function state(live) {
  status.textContent = live ? "" : "reconnecting …";
}

/** The row of each team. They stay where they are, so that nobody clicks on another one. */
const rows = new Map();

function show({ name, players, season }) {
  document.title = name;
  evening = season?.number;
  for (const [id, row] of rows) {
    if (players.some((player) => player.id === id)) continue;
    row.remove();
    rows.delete(id);
  }
  for (const { id, name, score } of players) {
    if (!rows.has(id)) rows.set(id, newRow(id, name));
    rows.get(id).firstChild.textContent = `${name}: ${score}`;
  }
}

function newRow(id, name) {
  const row = document.createElement("li");
  row.append(
    document.createElement("span"),
    ...POINTS.map((points) => pointsButton(id, name, points)),
  );
  list.append(row);
  return row;
}

function pointsButton(id, name, points) {
  const button = document.createElement("button");
  button.textContent = points > 0 ? `+${points}` : `−${-points}`;
  button.setAttribute("aria-label", `${name}: ${button.textContent}`);
  button.addEventListener("click", () =>
    post(`players/${encodeURIComponent(id)}/score/`, { score: points, operator: "add", season: evening }),
  );
  return button;
}

team.addEventListener("submit", async (event) => {
  event.preventDefault();
  if (await post("players/", { name: team.called.value })) team.reset();
});

over.addEventListener("click", () => {
  // With its number: if somebody else has ended it meanwhile, the next one goes on.
  if (confirm("End the evening, and begin the next one?")) post("seasons/", { season: evening });
});

/** Whether it was done; the server's word is shown where it was not. What the board says comes with
 * the next event. What is sent again has the same key, and counts once. */
async function post(path, body) {
  alert.textContent = "";
  const key = crypto.getRandomValues(new Uint32Array(4)).join("-");
  for (let tries = 1; ; tries += 1) {
    try {
      const answer = await fetch(new URL(path, board), {
        method: "POST",
        headers: {
          "Authorization": `Bearer ${token}`,
          "Content-Type": "application/json",
          "Idempotency-Key": key,
        },
        body: JSON.stringify(body),
        signal: AbortSignal.timeout(5_000),
      });
      if (answer.ok) return true;
      const { detail } = await answer.json().catch(() => ({}));
      alert.textContent = detail ?? `The server answers ${answer.status}.`;
      if (![408, 429, 502, 503, 504].includes(answer.status)) return false;
    } catch {
      alert.textContent = "The server can't be reached.";
    }
    if (tries === TRIES) return false;
    await new Promise((resolve) => setTimeout(resolve, 1_000 * tries));
    alert.textContent = "";
  }
}
