import { useCallback } from "react";
import { date } from "../texts.js";
import { Really } from "./Really.jsx";
import { admin } from "./texts.js";
import { usePages } from "./usePages.js";

/** The seasons of a board, and the end of the present one. */
export function SeasonsTab({ board, management, onNote, onTrouble, onSaved }) {
  const ask = useCallback((address) => management.seasons(board, address), [board, management]);
  const { items: seasons, next, read } = usePages(ask, "seasons", onTrouble);

  async function end(number) {
    try {
      await management.endSeason(board, number);
      onNote(admin("season_ended", { number: String(number) }));
      onSaved();
      await read();
    } catch (error) {
      onTrouble(error);
    }
  }

  if (!seasons) return <p aria-busy="true">{admin("loading")}</p>;
  return (
    <>
      {seasons.length === 0 && <p>{admin("no_seasons")}</p>}
      <ul className="admin-list" role="list" aria-label={admin("tab_seasons")}>
        {seasons.map((season) => (
          <li key={season.number}>
            <strong>{admin("season_number", { number: String(season.number) })}</strong>
            <span className="who">{whenOf(season)}</span>
            {typeof season.players === "number" && (
              <span className="sum">{admin("season_players", { count: season.players })}</span>
            )}
            {!season.ended && (
              <Really
                label={admin("season_end")}
                what={admin("season_end_what", { number: String(season.number) })}
                onConfirm={() => end(season.number)}
              />
            )}
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

function whenOf({ started, ended, ends }) {
  if (ended) return admin("season_past", { started: date(started), ended: date(ended) });
  if (ends) return admin("season_present_ends", { started: date(started), ends: date(ends) });
  return admin("season_present", { started: date(started) });
}
