import { memo, useRef, useState } from "react";
import { addPlayer, getPlayer } from "./api.js";
import { limited } from "./names.js";
import { text } from "./texts.js";

/** The form that puts a new player on `board`; `onTrouble` is told of errors, with words. */
export default memo(AddPlayer);

function AddPlayer({ board, onAdded, onTrouble }) {
  const [name, setName] = useState("");
  const [busy, setBusy] = useState(false);
  const input = useRef(null);

  async function submit(event) {
    event.preventDefault();
    if (!name.trim() || busy) return;
    setBusy(true);
    try {
      const added = await addPlayer(board, name.trim(), 0);
      onAdded(await getPlayer(board, added.id));
      setName("");
    } catch (error) {
      onTrouble(text("join_failed", { name: name.trim(), reason: error.message }), error);
    } finally {
      setBusy(false);
      input.current?.focus();
    }
  }

  return (
    <form className="panel join" onSubmit={submit}>
      <h2>
        <label htmlFor="name">{text("join")}</label>
      </h2>
      <div className="field">
        <input
          id="name"
          ref={input}
          value={name}
          onChange={(event) => setName(limited(event.target.value))}
          placeholder={text("join_name")}
          dir="auto"
          autoComplete="off"
          required
        />
        <button type="submit" aria-disabled={busy || !board}>
          {text("join_submit")}
        </button>
      </div>
    </form>
  );
}
