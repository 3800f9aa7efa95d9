import { useState } from "react";
import { keepToken, token } from "../token.js";
import { admin } from "./texts.js";

/** Takes a token, and forgets it again. */
export function Token({ onChange }) {
  const [typed, setTyped] = useState("");
  const [kept, setKept] = useState(() => token() !== "");
  const use = (value) => {
    keepToken(value);
    setKept(value !== "");
    setTyped("");
    onChange();
  };
  if (kept) {
    return (
      <p className="token">
        <span>{admin("token_kept")}</span>
        <button type="button" onClick={() => use("")}>
          {admin("token_forget")}
        </button>
      </p>
    );
  }
  return (
    <form
      className="token"
      onSubmit={(event) => {
        event.preventDefault();
        if (typed.trim()) use(typed.trim());
      }}
    >
      <label htmlFor="admin-token">{admin("token")}</label>
      <input
        id="admin-token"
        type="password"
        value={typed}
        onChange={({ target }) => setTyped(target.value)}
        autoComplete="off"
        spellCheck={false}
        aria-describedby="admin-token-why"
      />
      <button type="submit">{admin("token_use")}</button>
      <span id="admin-token-why" className="soft">
        {admin("token_why")}
      </span>
    </form>
  );
}
