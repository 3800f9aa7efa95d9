import { useState } from "react";
import { admin } from "./texts.js";

/** A button that does what can't be undone: pressed once it asks, and pressed again it does it. */
export function Really({ what, label, onConfirm }) {
  const [asked, setAsked] = useState(false);
  return (
    <button
      type="button"
      className="danger"
      aria-live="polite"
      onClick={() => {
        setAsked(!asked);
        if (asked) onConfirm();
      }}
      onBlur={() => setAsked(false)}
    >
      {asked ? admin("really", { what }) : label}
    </button>
  );
}
