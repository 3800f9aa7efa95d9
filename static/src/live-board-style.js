/** How `<live-board>` looks. What a site may change is a custom property, or a part. */

const HUES = [25, 70, 110, 150, 195, 245, 295, 345];
const light = HUES.map((hue) => `oklch(0.6 0.17 ${hue})`);
const deep = HUES.map((hue) => `oklch(0.42 0.13 ${hue})`);
const pale = HUES.map((hue) => `oklch(0.82 0.13 ${hue})`);
const strong = HUES.map((hue) => `oklch(0.65 0.18 ${hue})`);

/** The colours of players: in light, and in dark. */
export const PALETTE = [...light, ...deep].map(
  (colour, i) => `light-dark(${colour}, ${[...pale, ...strong][i]})`,
);

export const STYLE = `
:host {
  display: block;
  color-scheme: light dark;
  container-type: inline-size;
  --ground: var(--live-board-ground, light-dark(#fffdf8, #11141c));
  --ink: var(--live-board-ink, light-dark(#15171c, #f5f2ea));
  --soft: var(--live-board-soft, light-dark(#585c66, #a3a8b5));
  --line: var(--live-board-line, light-dark(#dcd6c8, #252a36));
  --accent: var(--live-board-accent, light-dark(#0b57d0, #ffd84d));
  font: 400 1rem/1.4 var(--live-board-font, system-ui, sans-serif);
  color: var(--ink);
}
:host([hidden]) { display: none; }
:host([theme="light"]) { color-scheme: light; }
:host([theme="dark"]) { color-scheme: dark; }
.board {
  background: var(--ground);
  border: 1px solid var(--line);
  border-radius: var(--live-board-radius, 0.75rem);
  padding: var(--live-board-padding, 0.75rem);
}
header { display: flex; align-items: baseline; justify-content: space-between; gap: 1rem; }
.title { font-weight: 700; overflow-wrap: anywhere; }
.state { color: var(--soft); font-size: 0.8em; white-space: nowrap; }
.state::before {
  content: "";
  display: inline-block;
  width: 0.6em;
  height: 0.6em;
  margin-inline-end: 0.4em;
  border-radius: 50%;
  background: currentColor;
}
.state[data-live]::before { background: light-dark(#1a7f37, #4ac26b); }
ol { list-style: none; margin: 0.5rem 0 0; padding: 0; }
li {
  display: grid;
  grid-template-columns: minmax(2ch, auto) 0.35em minmax(0, 1fr) auto;
  gap: 0 0.6em;
  align-items: center;
  padding: var(--live-board-row-padding, 0.35em 0.4em);
  border-top: 1px solid var(--line);
}
li:first-child { border-top: 0; }
.rank { color: var(--soft); text-align: end; }
.rank, .score { font-variant-numeric: tabular-nums; }
.colour { align-self: stretch; border-radius: 1em; }
.name { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.score { font-weight: 600; }
.own { outline: 2px solid var(--accent); outline-offset: -2px; border-radius: 0.4em; }
.own .name { font-weight: 700; }
.place { margin: 0.5rem 0 0; color: var(--soft); font-size: 0.9em; }
.note { margin: 0.5rem 0 0; color: var(--soft); }
[hidden] { display: none; }
.spoken {
  position: absolute;
  width: 1px;
  height: 1px;
  overflow: hidden;
  clip-path: inset(50%);
  white-space: nowrap;
}
@media (forced-colors: active) {
  .own { outline-color: Highlight; }
}
`;
