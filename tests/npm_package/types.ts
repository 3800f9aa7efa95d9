// What the types of the package say, held by the compiler: `npm pack` made them from the JSDoc.
import { BoardStream, Boards, PlayerStream, RequestError, submit, type Board, type Place } from "tornado-board";
import { LiveBoard } from "tornado-board/live-board";

const boards = new Boards("https://boards.example", { token: async ({ renew }) => String(renew) });
const stream: BoardStream = boards.watch("race", { silence: 1_000 });
stream.addEventListener("update", ({ detail }) => {
  const board: Board = detail.board;
  const id: string = detail.id;
  console.log(board.players[0]?.score.toFixed(), id);
});
stream.addEventListener("state", () => {
  const live: boolean = stream.state === "live";
  console.log(live);
});
const player: PlayerStream = new PlayerStream("https://boards.example/boards/a/players/b/events/");
player.addEventListener("rank", ({ detail }: CustomEvent<Place>) => {
  const missing: number | null = detail.to_next;
  console.log(missing);
});
const submitted = await submit("https://boards.example/boards/a/players/b/score/", { score: 1 });
const rank: number | null = submitted.rank;
console.log(rank, new RequestError(404, "").status);
for await (const { players, next } of boards.pages("race", { limit: 2 })) {
  const address: string | undefined = next;
  console.log(players[0]?.rank, address);
}
const replay = boards.replay("race", { speed: 20 });
replay.addEventListener("update", ({ detail }) => {
  const name: string = detail.board.name;
  console.log(name, detail.time.toFixed());
});
stream.addEventListener("state", () => console.log("once"), { once: true });
// @ts-expect-error there is no such event of a replay
replay.addEventListener("updated", () => {});
// @ts-expect-error a submission needs a score
await submit("https://boards.example/", {});
// @ts-expect-error there is no such state
stream.state === "lively";
// @ts-expect-error there is no such event
stream.addEventListener("updated", () => {});
const element = document.querySelector<LiveBoard>("live-board");
if (element) element.token = () => "token";
