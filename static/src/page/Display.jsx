import { useEffect, useState } from "react";

const THEMES = { auto: "Light or dark as the system", light: "Light", dark: "Dark" };
const NEXT = { auto: "light", light: "dark", dark: "auto" };
const ICONS = { auto: "◐", light: "☀", dark: "☾" };

/** Storage may be forbidden; then the choice lasts as long as the page. */
function stored(key) {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

/** Goes round light, dark and what the system says. */
export function ThemeButton() {
  const [theme, setTheme] = useState(() => {
    const known = stored("theme");
    return known in THEMES ? known : "auto";
  });
  useEffect(() => {
    document.documentElement.dataset.theme = theme;
    try {
      localStorage.setItem("theme", theme);
    } catch {
      // as above
    }
  }, [theme]);
  return (
    <button
      type="button"
      className="icon"
      aria-label={`Colours: ${THEMES[theme]}. Change to: ${THEMES[NEXT[theme]]}`}
      title={THEMES[theme]}
      onClick={() => setTheme(NEXT[theme])}
    >
      <span aria-hidden="true">{ICONS[theme]}</span>
    </button>
  );
}

/** The whole screen for the board, without what one would click on; the screen stays awake. */
export function WallButton() {
  const [wall, setWall] = useState(false);
  useEffect(() => {
    const onChange = () => setWall(document.fullscreenElement !== null);
    document.addEventListener("fullscreenchange", onChange);
    return () => document.removeEventListener("fullscreenchange", onChange);
  }, []);
  useEffect(() => {
    document.documentElement.toggleAttribute("data-wall", wall);
    if (!wall || !navigator.wakeLock) return undefined;
    const lock = navigator.wakeLock.request("screen").catch(() => null);
    return () => void lock.then((held) => held?.release());
  }, [wall]);
  if (!document.fullscreenEnabled) return null;
  return (
    <button
      type="button"
      className="icon"
      aria-pressed={wall}
      aria-label="Wall view"
      title="Wall view"
      onClick={() =>
        wall ? document.exitFullscreen() : document.documentElement.requestFullscreen().catch(() => {})
      }
    >
      <span aria-hidden="true">⛶</span>
    </button>
  );
}
