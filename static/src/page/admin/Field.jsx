import { useId } from "react";

/** A labelled control. `options`: of a list to choose from, `[value, label]`. */
export function Field({ label, value, onChange, options, type = "text", hint, ...more }) {
  const id = useId();
  const shared = { id, "aria-describedby": hint && `${id}-hint`, ...more };
  return (
    <div className="labelled" data-type={type}>
      <label htmlFor={id}>{label}</label>
      {options ? (
        <select {...shared} value={value} onChange={({ target }) => onChange(target.value)}>
          {options.map(([key, name]) => (
            <option key={key} value={key}>
              {name}
            </option>
          ))}
        </select>
      ) : type === "checkbox" ? (
        <input {...shared} type="checkbox" checked={value} onChange={({ target }) => onChange(target.checked)} />
      ) : type === "textarea" ? (
        <textarea {...shared} rows={4} value={value} onChange={({ target }) => onChange(target.value)} />
      ) : (
        <input
          {...shared}
          type={type}
          value={value}
          autoComplete="off"
          onChange={({ target }) => onChange(target.value)}
        />
      )}
      {hint && (
        <span id={`${id}-hint`} className="soft">
          {hint}
        </span>
      )}
    </div>
  );
}
