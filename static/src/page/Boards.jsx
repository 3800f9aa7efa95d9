import { useState } from "react";
import { addBoard } from "./api.js";

/** The boards to choose from; nothing where there is only one. */
export function Boards({ boards, chosen, onChoose }) {
  if (boards.length < 2) return null;
  return (
    <nav className="boards" aria-label="Boards">
      <ul>
        {boards.map(({ id, name }) => (
          <li key={id}>
            <a
              href={`?board=${encodeURIComponent(id)}`}
              aria-current={id === chosen ? "page" : undefined}
              onClick={(event) => {
                if (event.metaKey || event.ctrlKey || event.shiftKey) return; // a tab of its own
                event.preventDefault();
                onChoose(id);
              }}
            >
              {name}
            </a>
          </li>
        ))}
      </ul>
    </nav>
  );
}

/** What is shown where the server has no board at all. */
export function NoBoard({ onAdded, onTrouble }) {
  const [name, setName] = useState("");

  async function submit(event) {
    event.preventDefault();
    try {
      onAdded(await addBoard(name.trim()));
    } catch (error) {
      onTrouble(`The board was not made: ${error.message}`);
    }
  }

  return (
    <form className="panel join first-board" onSubmit={submit}>
      <h2>
        <label htmlFor="board-name">Make the first board</label>
      </h2>
      <div className="field">
        <input
          id="board-name"
          value={name}
          onChange={(event) => setName(event.target.value)}
          placeholder="Name of the board"
          autoComplete="off"
          maxLength={60}
          required
        />
        <button type="submit">Make it</button>
      </div>
    </form>
  );
}
