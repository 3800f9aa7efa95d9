import { useCallback, useEffect, useMemo, useRef, useState } from "react";
import { text } from "../texts.js";
import { token } from "../token.js";
import { BoardTab, NewBoardTab } from "./BoardTab.jsx";
import { HiddenTab } from "./HiddenTab.jsx";
import { ImportTab } from "./ImportTab.jsx";
import { PlayersTab } from "./PlayersTab.jsx";
import { SeasonsTab } from "./SeasonsTab.jsx";
import { Token } from "./Token.jsx";
import { Management } from "./api.js";
import { admin } from "./texts.js";
import { usePages } from "./usePages.js";
import "./admin.css";

const TABS = {
  board: BoardTab,
  players: PlayersTab,
  hidden: HiddenTab,
  seasons: SeasonsTab,
  import: ImportTab,
  new: NewBoardTab,
};

/** Manages boards: what a token allows, and on a server without keys everything. */
export default function Admin({ board: shown, onClose, onChoose, onChanged }) {
  const dialog = useRef(null);
  const management = useMemo(
    () => new Management(new URL(document.documentElement.dataset.base ?? "/", location.href), token),
    [],
  );
  const [board, setBoard] = useState(shown);
  const [tab, setTab] = useState("board");
  const [note, setNote] = useState("");
  const [trouble, setTrouble] = useState("");
  const [turn, setTurn] = useState(0); // everything is read anew with another token

  useEffect(() => dialog.current.showModal(), []);

  const onTrouble = useCallback((error) => {
    setNote("");
    setTrouble(error.message);
  }, []);
  const onNote = useCallback((said) => {
    setTrouble("");
    setNote(said);
  }, []);

  // With another token it is another list.
  const ask = useCallback((address) => management.boards(address), [management, turn]);
  const { items: boards, setItems: setBoards, next, read } = usePages(ask, "boards", onTrouble);
  useEffect(() => setBoard((now) => now || boards?.[0]?.id || ""), [boards]);

  const choose = (id) => {
    setBoard(id);
    setNote("");
    setTrouble("");
    if (id) onChoose(id);
  };
  const onMade = (made) => {
    setBoards((now) => {
      const listed = [...(now ?? []), made].sort((a, b) => (a.id < b.id ? -1 : 1));
      return next && listed.at(-1) === made ? now : listed; // a later page has it
    });
    onChanged();
    choose(made.id);
    setTab("board");
    onNote(admin("made", { id: made.id }));
  };
  const onDeleted = (id) => {
    const left = (boards ?? []).filter((one) => one.id !== id);
    setBoards(left);
    choose(left[0]?.id ?? "");
    onChanged();
    onNote(admin("board_deleted", { id }));
  };
  const onSaved = (saved) => {
    setBoards((now) => now?.map((one) => (one.id === saved?.id ? saved : one)) ?? now);
    onChanged();
  };

  const tabs = board ? Object.keys(TABS) : ["new"];
  const now = tabs.includes(tab) ? tab : "new";
  const Chosen = TABS[now];
  const unlisted = board && boards && !boards.some(({ id }) => id === board);
  return (
    <dialog className="whole admin" ref={dialog} aria-labelledby="admin" onClose={onClose}>
      <header>
        <h2 id="admin">{admin("title")}</h2>
        <button type="button" onClick={() => dialog.current.close()}>
          {text("close")}
        </button>
      </header>
      <Token
        onChange={() => {
          onNote("");
          setTurn((n) => n + 1);
        }}
      />
      <div className="admin-board">
        <label htmlFor="admin-board">{admin("board")}</label>
        {board ? (
          <select id="admin-board" value={board} onChange={({ target }) => choose(target.value)}>
            {unlisted && <option value={board}>{board}</option>}
            {(boards ?? []).map(({ id, name }) => (
              <option key={id} value={id}>
                {name === id ? id : `${name} (${id})`}
              </option>
            ))}
          </select>
        ) : (
          <span id="admin-board">{boards || trouble ? admin("board_none") : admin("loading")}</span>
        )}
        {next && (
          <button type="button" onClick={() => void read(next)}>
            {admin("more_boards")}
          </button>
        )}
      </div>
      <Tabs names={tabs} chosen={now} onChoose={setTab} />
      <p className="admin-trouble" role="alert">
        {trouble}
      </p>
      <p className="admin-note" role="status">
        {note}
      </p>
      <div className="scroll" role="tabpanel" id="admin-panel" aria-labelledby={`admin-tab-${now}`} tabIndex={0}>
        <Chosen
          key={`${now} ${board} ${turn}`}
          board={board}
          management={management}
          onNote={onNote}
          onTrouble={onTrouble}
          onSaved={onSaved}
          onMade={onMade}
          onDeleted={onDeleted}
        />
      </div>
    </dialog>
  );
}

/** As WAI-ARIA's pattern of tabs has it: one stop of the keyboard, and arrows from tab to tab. */
function Tabs({ names, chosen, onChoose }) {
  const list = useRef(null);
  const onKeyDown = (event) => {
    const at = names.indexOf(chosen);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: names.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    const next = (to + names.length) % names.length;
    onChoose(names[next]);
    list.current.children[next].focus();
  };
  return (
    <div className="tabs" role="tablist" aria-label={admin("tabs")} ref={list} onKeyDown={onKeyDown}>
      {names.map((name) => (
        <button
          key={name}
          type="button"
          role="tab"
          id={`admin-tab-${name}`}
          aria-selected={name === chosen}
          aria-controls="admin-panel"
          tabIndex={name === chosen ? 0 : -1}
          onClick={() => onChoose(name)}
        >
          {admin(`tab_${name}`)}
        </button>
      ))}
    </div>
  );
}
