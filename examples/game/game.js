// A game on a plain canvas that submits its scores, with the board beside it.

const canvas = document.querySelector("canvas");
const form = document.querySelector("form");
const status = document.querySelector("[role=status]");
const liveBoard = document.querySelector("live-board");

// --- The board -----------------------------------------------------------------------------

/** Answers after which the same request may succeed; 409: the one before is under way. */
const PASSING = [408, 409, 429, 502, 503, 504];
const LONGEST_PAUSE = 30_000;

/** Who plays, with a token for this player's scores. It is kept in no address and no storage. */
let session;

async function logIn() {
  const answer = await fetch("session", { method: "POST" });
  if (!answer.ok) throw new Error(`The game's backend answers ${answer.status}.`);
  session = await answer.json();
}

/**
 * Submits a score, once and only once: whatever is sent again has the same key. The best score that
 * has no answer yet is kept in the browser, through a reload or a crash.
 */
function submit(score, name) {
  const kept = unsent();
  if (!kept || score > kept.score) {
    const key = crypto.getRandomValues(new Uint32Array(4)).join("-");
    localStorage.setItem("unsent", JSON.stringify({ score, name, key }));
  }
  return deliver();
}

const unsent = () => JSON.parse(localStorage.getItem("unsent"));

let delivering = null;

/** Sends what is kept until there is an answer: the server's last one, null where nothing was kept. */
function deliver() {
  delivering ??= deliverAll().finally(() => (delivering = null));
  return delivering;
}

async function deliverAll() {
  let told = null;
  for (let pause = 500; unsent(); pause = Math.min(2 * pause, LONGEST_PAUSE)) {
    const { key, ...submission } = unsent();
    let wait = pause * (0.5 + Math.random() / 2); // not all players at once
    try {
      const { boards, board, player, token } = session;
      const answer = await fetch(`${boards}boards/${board}/players/${player}/score/`, {
        method: "POST",
        headers: {
          "Authorization": `Bearer ${token}`,
          "Content-Type": "application/json",
          "Idempotency-Key": key,
        },
        body: JSON.stringify(submission),
        signal: AbortSignal.timeout(10_000),
      });
      const body = await answer.json().catch(() => ({}));
      if (answer.status === 401) {
        await logIn(); // the token has expired
      } else if (!PASSING.includes(answer.status)) {
        // It has counted, or never will. A better one, of a round since, may wait.
        if (unsent()?.key === key) localStorage.removeItem("unsent");
        if (!answer.ok) throw new Refused(body.detail ?? `The server answers ${answer.status}.`);
        told = body;
        continue;
      }
      wait = Math.max(wait, 1_000 * (Number(answer.headers.get("Retry-After")) || 0));
    } catch (error) {
      if (error instanceof Refused) throw error;
      status.textContent = "The board is away. Your score is kept, and sent when it is back.";
    }
    await new Promise((resolve) => setTimeout(resolve, wait));
  }
  return told;
}

class Refused extends Error {}

async function report(submitting) {
  try {
    const told = await submitting;
    if (!told) return;
    const { rank, of, score, changed } = told;
    const place = `rank ${rank} of ${of}`;
    status.textContent = changed ? `${score} stars: ${place}!` : `Your best is ${score}: ${place}.`;
  } catch (error) {
    status.textContent = error.message;
  }
}

// --- The game ------------------------------------------------------------------------------

const { width, height } = canvas;
const paint = canvas.getContext("2d");
const BASKET = 80;
/** A star comes every so many milliseconds. A round of 30 s has 101 at the most, of 5 points each
 * if all of them are golden: that is the `max` of the board. */
const STAR_EVERY = 300;
const held = new Set();
let basket = width / 2;
let playing = false;

canvas.addEventListener("pointermove", (event) => {
  basket = (event.offsetX / canvas.clientWidth) * width;
});
for (const [type, change] of [["keydown", "add"], ["keyup", "delete"]]) {
  addEventListener(type, ({ key }) => held[change](key));
}

/** One round; resolves with its score. */
function play(seconds) {
  const stars = [];
  const began = performance.now();
  let [score, last, next] = [0, began, began];
  return new Promise((resolve) => {
    requestAnimationFrame(function frame(now) {
      const step = Math.min(now - last, 50) / 1_000; // a tab that was hidden does not jump
      last = now;
      if (now >= next) {
        stars.push({ x: 20 + Math.random() * (width - 40), y: 0, worth: Math.random() < 0.1 ? 5 : 1 });
        next = now + STAR_EVERY;
      }
      basket += ((held.has("ArrowRight") ? 1 : 0) - (held.has("ArrowLeft") ? 1 : 0)) * 500 * step;
      basket = Math.max(BASKET / 2, Math.min(width - BASKET / 2, basket));
      for (const star of stars) {
        star.y += (star.worth > 1 ? 320 : 220) * step;
        if (star.y < height - 24 || star.caught) continue;
        star.caught = Math.abs(star.x - basket) < BASKET / 2;
        if (star.caught) score += star.worth;
      }
      stars.splice(0, stars.length, ...stars.filter(({ y, caught }) => y < height && !caught));
      const left = Math.max(0, seconds - (now - began) / 1_000);
      draw(stars, score, left);
      if (left > 0) requestAnimationFrame(frame);
      else resolve(score);
    });
  });
}

function draw(stars, score, left) {
  paint.clearRect(0, 0, width, height);
  paint.font = "28px system-ui";
  paint.textAlign = "center";
  for (const { x, y, worth } of stars) {
    paint.fillStyle = worth > 1 ? "gold" : "white";
    paint.fillText("★", x, y);
  }
  paint.fillStyle = "tomato";
  paint.fillRect(basket - BASKET / 2, height - 16, BASKET, 10);
  paint.fillStyle = "white";
  paint.fillText(`${score}`, 40, 40);
  paint.fillText(`${Math.ceil(left)} s`, width - 48, 40);
}

// --- The page ------------------------------------------------------------------------------

form.player.value = localStorage.getItem("name") ?? "";
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  if (playing || !session) return;
  playing = true;
  const name = form.player.value.trim() || "Somebody";
  localStorage.setItem("name", name);
  status.textContent = "";
  canvas.focus();
  const score = await play(Number(canvas.dataset.seconds));
  playing = false;
  report(submit(score, name));
});

try {
  await logIn();
  report(deliver()); // what an earlier visit could not send
  liveBoard.setAttribute("player", session.player);
  liveBoard.setAttribute("board", session.board);
  // Where the address is known beforehand, a line of HTML does: <script type="module" src="...">
  await import(`${session.boards}live-board.js`);
} catch (error) {
  status.textContent = session ? "The board can't be shown now." : error.message;
}
