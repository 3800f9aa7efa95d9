import { useEffect, useRef } from "react";
import { text } from "./texts.js";

/** Stands where the forms were. */
export function ReadOnly() {
  const note = useRef(null);
  // The button that was pressed is gone; the keyboard goes on from here.
  const pressed = useRef(document.activeElement !== document.body);
  useEffect(() => {
    if (pressed.current && document.activeElement === document.body) note.current.focus();
  }, []);
  return (
    <p className="read-only" ref={note} tabIndex={-1}>
      {text("read_only")}
    </p>
  );
}
