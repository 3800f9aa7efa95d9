import { useEffect, useRef, useState } from "react";
import { Field } from "./Field.jsx";
import { importFile } from "./importing.js";
import { NoRows, formatOf } from "./rows.js";
import { admin } from "./texts.js";

/** Hands in the scores of a file, and tells how far it is and what was refused. */
export function ImportTab({ board, management, onNote, onTrouble }) {
  const [file, setFile] = useState(null);
  const [operator, setOperator] = useState("");
  const [progress, setProgress] = useState(null);
  const [running, setRunning] = useState(null);
  const stopping = useRef(null);
  useEffect(() => () => stopping.current?.abort(), []);

  async function begin(event) {
    event.preventDefault();
    if (!file || running) return;
    const format = formatOf(file.name);
    if (!format) {
      onTrouble(new Error(admin("file_unknown")));
      return;
    }
    const stop = new AbortController();
    stopping.current = stop;
    setRunning(stop);
    setProgress(null);
    onNote(admin("importing"));
    const submit = (rows, signal) => management.submit(board, rows, signal);
    try {
      const done = await importFile(file, format, operator, submit, setProgress, stop.signal);
      setProgress(done);
      onNote(admin("import_done", counts(done)));
    } catch (error) {
      if (stop.signal.aborted) onNote(admin("import_stopped"));
      else if (error instanceof NoRows) onTrouble(new Error(admin("import_failed", { reason: admin(error.key, error.values) })));
      else onTrouble(new Error(admin("import_failed", { reason: error.message })));
    } finally {
      setRunning(null);
    }
  }

  return (
    <>
      <form className="inline" onSubmit={begin}>
        <Field
          label={admin("file")}
          type="file"
          value={undefined}
          accept=".csv,.tsv,.ndjson,.jsonl"
          hint={admin("file_what")}
          onChange={() => {}}
          onInput={({ target }) => setFile(target.files[0] ?? null)}
        />
        <Field
          label={admin("operator")}
          value={operator}
          onChange={setOperator}
          options={[
            ["", admin("import_board")],
            ...["best", "set", "add"].map((one) => [one, admin(`operator_${one}`)]),
          ]}
        />
        <button type="submit" aria-disabled={!file || Boolean(running)}>
          {admin("import")}
        </button>
        {running && (
          <button type="button" onClick={() => running.abort()}>
            {admin("import_stop")}
          </button>
        )}
      </form>
      {(running || progress) && file && (
        <p className="importing">
          <progress aria-label={admin("importing")} max={Math.max(1, file.size)} value={progress?.read ?? 0} />
          {progress && <span>{admin("import_counts", counts(progress))}</span>}
        </p>
      )}
      {progress?.refusals.length > 0 && (
        <section aria-labelledby="refused">
          <h3 id="refused">{admin("refused_first", { count: progress.refusals.length })}</h3>
          <ul className="refusals">
            {progress.refusals.map(({ line, why }) => (
              <li key={line}>
                {admin("refused_line", {
                  line,
                  why: typeof why === "string" ? why : admin(why.key, why.values),
                })}
              </li>
            ))}
          </ul>
        </section>
      )}
    </>
  );
}

const counts = ({ made, changed, same, refused }) => ({ made, changed, same, refused });
