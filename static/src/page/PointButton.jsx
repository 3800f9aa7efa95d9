import { text } from "./texts.js";

/** Adds a point to `player`; nothing where there is no `onPoint` to call with the player's id. */
export function PointButton({ player, onPoint }) {
  if (!onPoint) return null;
  return (
    <button
      type="button"
      className="point"
      aria-label={text("add_point", { name: player.name })}
      onClick={() => onPoint(player.id)}
    >
      +1
    </button>
  );
}
