import { useState } from "react";
import { addBoard } from "./api.js";
import { limited } from "./names.js";
import { text } from "./texts.js";

/** What is shown where the server has no board at all. */
export default function NoBoard({ onAdded, onTrouble }) {
  const [name, setName] = useState("");

  async function submit(event) {
    event.preventDefault();
    try {
      onAdded(await addBoard(name.trim()));
    } catch (error) {
      onTrouble(text("first_board_failed", { reason: error.message }), error);
    }
  }

  return (
    <form className="panel join first-board" onSubmit={submit}>
      <h2>
        <label htmlFor="board-name">{text("first_board")}</label>
      </h2>
      <div className="field">
        <input
          id="board-name"
          value={name}
          onChange={(event) => setName(limited(event.target.value))}
          placeholder={text("first_board_name")}
          dir="auto"
          autoComplete="off"
          required
        />
        <button type="submit">{text("first_board_submit")}</button>
      </div>
    </form>
  );
}
