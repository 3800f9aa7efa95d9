// Follows a board and a player with the installed package, and submits scores that stand on stdin,
// one a line. Each line of the output is what happened, in JSON.
import { Boards } from "tornado-board";
import { createInterface } from "node:readline";

const [server, board, player, token] = process.argv.slice(2);
const say = (what) => console.log(JSON.stringify(what));
const boards = new Boards(server, token ? { token: async () => token } : {});

const stream = boards.watch(board);
stream.addEventListener("update", ({ detail }) => {
  const scores = Object.fromEntries(detail.board.players.map(({ id, score }) => [id, score]));
  say({ update: scores, id: detail.id });
});
stream.addEventListener("reset", ({ detail }) => say({ reset: detail.reason }));
stream.addEventListener("state", () => say({ state: stream.state }));

const place = boards.watchPlayer(board, player);
place.addEventListener("rank", ({ detail }) => say({ rank: detail.rank, of: detail.of }));
place.addEventListener("gone", ({ detail }) => say({ gone: detail.id }));

for await (const line of createInterface({ input: process.stdin })) {
  if (line === "pages") {
    const seen = [];
    for await (const page of boards.pages(board, { limit: 2 })) seen.push(...page.players);
    say({ pages: seen.map(({ id, rank }) => [id, rank]) });
    continue;
  }
  boards.submit(board, player, Number(line)).then(
    (submitted) => say({ submitted }),
    (error) => say({ error: error.message, status: error.status }),
  );
}
stream.close();
place.close();
