import { number } from "./texts.js";

/** A number whose digits roll to their places. */
export function Score({ value }) {
  const text = number(value);
  const size = text.length > 12 ? "huge" : text.length > 7 ? "long" : undefined;
  return (
    <span className="score" data-size={size}>
      <span className="spoken">{text}</span>
      <span className="digits" aria-hidden="true">
        {[...text].map((character, i) => {
          // Counted from the right, so that units stay units when a number gets longer.
          const place = text.length - i;
          return /\d/.test(character) ? (
            <span key={`d${place}`} className="digit">
              <span className="wheel" style={{ "--digit": Number(character) }}>
                {"0\n1\n2\n3\n4\n5\n6\n7\n8\n9"}
              </span>
            </span>
          ) : (
            <span key={`c${place}`}>{character}</span>
          );
        })}
      </span>
    </span>
  );
}
