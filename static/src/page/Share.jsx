import { useEffect, useRef, useState } from "react";
import Code from "./Code.jsx";
import { addressToShare, isLocal } from "./share.js";
import { text } from "./texts.js";

/** The address of the board, to copy, to pass on, and as a QR code for whoever stands before it. */
export default function Share({ board, name, onClose }) {
  const dialog = useRef(null);
  const field = useRef(null);
  const [copied, setCopied] = useState(false);
  const address = addressToShare(board);
  useEffect(() => {
    dialog.current.showModal();
  }, []);

  async function copy() {
    field.current.select();
    try {
      await navigator.clipboard.writeText(address);
    } catch {
      document.execCommand("copy"); // without HTTPS
    }
    setCopied(true);
  }

  return (
    <dialog className="whole share" ref={dialog} aria-labelledby="share" onClose={onClose}>
      <header>
        <h2 id="share">{text("share")}</h2>
        <button type="button" onClick={() => dialog.current.close()}>
          {text("close")}
        </button>
      </header>
      <Code address={address} />
      <div className="field">
        <input
          ref={field}
          readOnly
          value={address}
          aria-label={text("share_address")}
          onFocus={({ target }) => target.select()}
        />
        <button type="button" onClick={copy}>
          {text(copied ? "share_copied" : "share_copy")}
        </button>
        {navigator.share && (
          <button
            type="button"
            onClick={() => navigator.share({ title: name, url: address }).catch(() => {})}
          >
            {text("share_send")}
          </button>
        )}
      </div>
      <p className="spoken" role="status">
        {copied && text("share_copied")}
      </p>
      {isLocal(address) && <p className="soft">{text("share_local")}</p>}
    </dialog>
  );
}
