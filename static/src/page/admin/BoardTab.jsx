import { useEffect, useState } from "react";
import { Field } from "./Field.jsx";
import { EVERY, changesOf, formOf } from "./settings.js";
import { admin } from "./texts.js";

/** Changes the settings of a board, and deletes it. */
export function BoardTab({ board, management, onNote, onTrouble, onSaved, onDeleted }) {
  const [before, setBefore] = useState(null);
  const [form, setForm] = useState(null);
  useEffect(() => {
    let gone = false;
    management.board(board).then((found) => {
      if (gone) return;
      setBefore(formOf(found));
      setForm(formOf(found));
    }, onTrouble);
    return () => {
      gone = true;
    };
  }, [board, management, onTrouble]);

  async function save(event) {
    event.preventDefault();
    const changes = changesIn(form, before, onTrouble);
    if (!changes) return;
    if (Object.keys(changes).length === 0) {
      onNote(admin("unchanged"));
      return;
    }
    try {
      const saved = await management.changeBoard(board, changes);
      setBefore(formOf(saved));
      setForm(formOf(saved));
      onNote(admin("saved"));
      onSaved(saved);
    } catch (error) {
      onTrouble(error);
    }
  }

  if (!form) return <p aria-busy="true">{admin("loading")}</p>;
  return (
    <>
      <form className="settings" onSubmit={save}>
        <Settings form={form} onChange={setForm} />
        <p className="me-buttons">
          <button type="submit">{admin("save")}</button>
          <button type="button" onClick={() => setForm(before)}>
            {admin("cancel")}
          </button>
        </p>
      </form>
      <DeleteBoard board={board} management={management} onDeleted={onDeleted} onTrouble={onTrouble} />
    </>
  );
}

/** Makes a board. */
export function NewBoardTab({ management, onTrouble, onMade }) {
  const [form, setForm] = useState(formOf);
  async function make(event) {
    event.preventDefault();
    const body = changesIn(form, formOf(), onTrouble);
    if (!body) return;
    try {
      onMade(await management.makeBoard(body));
    } catch (error) {
      onTrouble(error);
    }
  }
  return (
    <form className="settings" onSubmit={make}>
      <Field
        label={admin("id")}
        value={form.id}
        onChange={(id) => setForm({ ...form, id })}
        hint={admin("id_made_up")}
        spellCheck={false}
      />
      <Settings form={form} onChange={setForm} />
      <p className="me-buttons">
        <button type="submit">{admin("make")}</button>
      </p>
    </form>
  );
}

function changesIn(form, before, onTrouble) {
  try {
    return changesOf(form, before);
  } catch (error) {
    onTrouble(new Error(admin("meta_wrong", { reason: error.message })));
    return null;
  }
}

function Settings({ form, onChange }) {
  const field = (name) => ({
    label: admin(name === "every" ? "season" : name),
    value: form[name],
    onChange: (value) => onChange({ ...form, [name]: value }),
  });
  const choice = (name, values) => ({
    ...field(name),
    options: values.map((value) => [value, admin(`${name}_${value}`)]),
  });
  return (
    <>
      <Field {...field("name")} dir="auto" />
      <Field {...choice("order", ["desc", "asc"])} />
      <Field {...choice("ties", ["id", "first"])} />
      <Field {...choice("operator", ["best", "set", "add"])} />
      <Field {...field("top")} inputMode="numeric" />
      <Field {...field("min")} inputMode="decimal" />
      <Field {...field("max")} inputMode="decimal" />
      <Field {...choice("every", EVERY)} />
      {form.every === "cron" && <Field {...field("cron")} spellCheck={false} />}
      {form.every !== "none" && <Field {...field("timezone")} spellCheck={false} />}
      {form.every !== "none" && <Field {...field("keep")} inputMode="numeric" />}
      <Field {...field("private")} type="checkbox" />
      <Field {...field("show")} type="checkbox" />
      <Field {...field("meta")} type="textarea" spellCheck={false} />
    </>
  );
}

/** Deletes a board once its id is typed. */
function DeleteBoard({ board, management, onDeleted, onTrouble }) {
  const [typed, setTyped] = useState("");
  async function remove(event) {
    event.preventDefault();
    if (typed !== board) return;
    try {
      await management.deleteBoard(board);
      onDeleted(board);
    } catch (error) {
      onTrouble(error);
    }
  }
  return (
    <form className="settings delete-board" onSubmit={remove}>
      <Field
        label={admin("delete_board")}
        value={typed}
        onChange={setTyped}
        hint={admin("delete_board_why")}
        placeholder={board}
        spellCheck={false}
      />
      <p className="me-buttons">
        <button type="submit" className="danger" aria-disabled={typed !== board}>
          {admin("delete")}
        </button>
      </p>
    </form>
  );
}
