import { useCallback } from "react";
import { number } from "../texts.js";
import { Really } from "./Really.jsx";
import { admin } from "./texts.js";
import { usePages } from "./usePages.js";

/** Those who are hidden, to be shown again or deleted. */
export function HiddenTab({ board, management, onNote, onTrouble }) {
  const ask = useCallback((address) => management.hidden(board, address), [board, management]);
  const { items: players, setItems: setPlayers, next, read } = usePages(ask, "players", onTrouble);

  async function act(player, doing, said) {
    try {
      await doing();
      setPlayers((now) => now.filter(({ id }) => id !== player.id));
      onNote(said);
    } catch (error) {
      onTrouble(error);
    }
  }

  if (players?.length === 0) return <p>{admin("nobody_hidden")}</p>;
  return (
    <>
      <ul className="admin-list" role="list" aria-label={admin("tab_hidden")} aria-busy={!players}>
        {players?.map((player) => (
          <li key={player.id}>
            <span className="who" dir="auto">
              {player.name}
            </span>
            <code>{player.id}</code>
            <span className="sum">{number(player.score)}</span>
            <button
              type="button"
              onClick={() =>
                act(
                  player,
                  () => management.changePlayer(board, player.id, { hidden: false }),
                  admin("shown_now", { name: player.name }),
                )
              }
            >
              {admin("show_again")}
            </button>
            <Really
              label={admin("delete")}
              what={admin("delete_player", { name: player.name })}
              onConfirm={() =>
                act(
                  player,
                  () => management.deletePlayer(board, player.id),
                  admin("player_deleted", { name: player.name }),
                )
              }
            />
          </li>
        ))}
      </ul>
      {next && (
        <button type="button" onClick={() => void read(next)}>
          {admin("more")}
        </button>
      )}
    </>
  );
}
