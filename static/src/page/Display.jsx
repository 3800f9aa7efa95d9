import { useEffect, useState } from "react";
import { text } from "./texts.js";
import { keepTheme, showTheme, storedTheme } from "./theme.js";
import { onWall } from "./wall.js";

const THEMES = { auto: "colours_auto", light: "colours_light", dark: "colours_dark" };
const NEXT = { auto: "light", light: "dark", dark: "auto" };
const ICONS = {
  auto: "M12 4a8 8 0 1 0 0 16a8 8 0 1 0 0-16zM12 7v10M13.5 7.4v9.2M15 8v8",
  light:
    "M12 8a4 4 0 1 0 0 8a4 4 0 1 0 0-8zM12 2v2M12 20v2M2 12h2M20 12h2M5 5l1.4 1.4M17.6 17.6L19 19M5 19l1.4-1.4M17.6 6.4L19 5",
  dark: "M19 14.5A8 8 0 1 1 9.5 5a6.4 6.4 0 0 0 9.5 9.5z",
  share: "M12 15V4M8 8l4-4 4 4M5 12v8h14v-8",
  manage: "M4 7h9M17 7h3M15 5v4M4 17h3M11 17h9M9 15v4",
  wall: "M4 9V4h5M15 4h5v5M20 15v5h-5M9 20H4v-5",
};

function Icon({ name }) {
  return (
    <svg viewBox="0 0 24 24" data-icon={name} aria-hidden="true">
      <path d={ICONS[name]} />
    </svg>
  );
}

/** Opens a part of the page: `share`, `manage`. */
export function OpenButton({ name, onOpen }) {
  return (
    <button
      type="button"
      className="icon"
      aria-haspopup="dialog"
      aria-label={text(name)}
      title={text(name)}
      onClick={onOpen}
    >
      <Icon name={name} />
    </button>
  );
}

/** Goes round light, dark and what the system says. */
export function ThemeButton() {
  const [theme, setTheme] = useState(storedTheme);
  useEffect(() => {
    showTheme(theme);
    keepTheme(theme);
  }, [theme]);
  return (
    <button
      type="button"
      className="icon"
      aria-label={text("colours", { now: text(THEMES[theme]), next: text(THEMES[NEXT[theme]]) })}
      title={text(THEMES[theme])}
      onClick={() => setTheme(NEXT[theme])}
    >
      <Icon name={theme} />
    </button>
  );
}

/** The whole screen for the board, without what one would click on; the screen stays awake. */
export function WallButton() {
  const [wall, setWall] = useState(onWall);
  useEffect(() => {
    const onChange = () => setWall(document.fullscreenElement !== null || onWall());
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
      aria-label={text("wall")}
      title={text("wall")}
      onClick={() =>
        document.fullscreenElement
          ? document.exitFullscreen()
          : document.documentElement.requestFullscreen().catch(() => {})
      }
    >
      <Icon name="wall" />
    </button>
  );
}
