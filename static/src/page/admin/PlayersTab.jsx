import { useCallback, useEffect, useState } from "react";
import { search } from "../search.js";
import { number } from "../texts.js";
import { Field } from "./Field.jsx";
import { Really } from "./Really.jsx";
import { admin } from "./texts.js";

/** How many players are listed at once. */
const LIMIT = 20;

/** Adds players, finds them, and changes their names and scores. */
export function PlayersTab({ board, management, onNote, onTrouble }) {
  const [page, setPage] = useState(null);
  const [sought, setSought] = useState("");
  const [edited, setEdited] = useState("");

  const list = useCallback(
    async (which = { limit: LIMIT }) => {
      try {
        setPage(await management.reading.page(board, which, { retries: 1 }));
      } catch (error) {
        onTrouble(error);
      }
    },
    [board, management, onTrouble],
  );
  useEffect(() => void list(), [list]);

  async function find(event) {
    event.preventDefault();
    setEdited("");
    if (!sought.trim()) return void list();
    try {
      const { players } = await search(management.reading, board, sought.trim());
      setPage({ players, count: players.length });
    } catch (error) {
      onTrouble(error);
    }
  }

  /** One player as it is now, in the list. */
  async function reread(id) {
    const { players } = await management.reading.page(board, { ids: [id] }, { retries: 1 });
    setPage((now) => ({
      ...now,
      players: now.players.flatMap((one) => (one.id === id ? players : [one])),
    }));
  }
  /** Does something to a player, and says so. */
  async function act(player, doing, said) {
    try {
      await doing();
      setEdited("");
      onNote(said);
      await reread(player.id);
    } catch (error) {
      onTrouble(error);
    }
  }

  return (
    <>
      <AddPlayer
        board={board}
        management={management}
        onTrouble={onTrouble}
        onAdded={(player) => {
          onNote(admin("added", { name: player.name }));
          void list({ around: player.id, limit: LIMIT });
        }}
      />
      <form className="inline" role="search" onSubmit={find}>
        <Field label={admin("find_what")} value={sought} onChange={setSought} type="search" dir="auto" />
        <button type="submit">{admin("find")}</button>
        <button
          type="button"
          onClick={() => {
            setSought("");
            void list();
          }}
        >
          {admin("find_all")}
        </button>
      </form>
      {page && page.players.length === 0 && <p>{admin("found_none")}</p>}
      <ul className="admin-list" role="list" aria-label={admin("players")} aria-busy={!page}>
        {page?.players.map((player) => (
          <li key={player.id}>
            <span className="place">{number(player.rank)}</span>
            <span className="who" dir="auto">
              {player.name}
            </span>
            <code>{player.id}</code>
            <span className="sum">{number(player.score)}</span>
            <button
              type="button"
              aria-expanded={edited === player.id}
              onClick={() => setEdited(edited === player.id ? "" : player.id)}
            >
              {admin("edit", { name: player.name })}
            </button>
            {edited === player.id && (
              <Edit
                player={player}
                onSave={(changes) =>
                  act(player, () => management.changePlayer(board, player.id, changes), admin("saved"))
                }
                onHide={() =>
                  act(
                    player,
                    () => management.changePlayer(board, player.id, { hidden: true }),
                    admin("hidden_now", { name: player.name }),
                  )
                }
                onDelete={() =>
                  act(
                    player,
                    () => management.deletePlayer(board, player.id),
                    admin("player_deleted", { name: player.name }),
                  )
                }
              />
            )}
          </li>
        ))}
      </ul>
      {page?.next && (
        <button type="button" onClick={() => void list({ address: page.next })}>
          {admin("more")}
        </button>
      )}
    </>
  );
}

function Edit({ player, onSave, onHide, onDelete }) {
  const [name, setName] = useState(player.name);
  const [score, setScore] = useState(String(player.score));
  return (
    <form
      className="inline edit"
      onSubmit={(event) => {
        event.preventDefault();
        const changes = {};
        if (name !== player.name) changes.name = name;
        if (score !== String(player.score)) changes.score = asNumber(score);
        onSave(changes);
      }}
    >
      <Field label={admin("name")} value={name} onChange={setName} dir="auto" />
      <Field label={admin("score")} value={score} onChange={setScore} inputMode="decimal" />
      <button type="submit">{admin("save")}</button>
      <Really label={admin("hide")} what={admin("hide_player", { name: player.name })} onConfirm={onHide} />
      <Really
        label={admin("delete")}
        what={admin("delete_player", { name: player.name })}
        onConfirm={onDelete}
      />
    </form>
  );
}

function AddPlayer({ board, management, onAdded, onTrouble }) {
  const [form, setForm] = useState({ id: "", name: "", score: "0" });
  async function add(event) {
    event.preventDefault();
    const { id, name, score } = form;
    try {
      const body = { name: name.trim(), score: asNumber(score), ...(id.trim() && { id: id.trim() }) };
      onAdded(await management.addPlayer(board, body));
      setForm({ id: "", name: "", score: "0" });
    } catch (error) {
      onTrouble(error);
    }
  }
  const field = (name) => ({
    label: admin(name),
    value: form[name],
    onChange: (value) => setForm({ ...form, [name]: value }),
  });
  return (
    <form className="inline" onSubmit={add} aria-label={admin("player_add")}>
      <Field {...field("name")} dir="auto" required />
      <Field {...field("id")} spellCheck={false} placeholder={admin("id_made_up")} />
      <Field {...field("score")} inputMode="decimal" />
      <button type="submit">{admin("add")}</button>
    </form>
  );
}

/** A number if it is one; else the text, of which the server says what is wrong. */
const asNumber = (text) => (text.trim() && Number.isFinite(Number(text)) ? Number(text) : text);
