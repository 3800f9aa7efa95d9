/**
 * What `<live-board>` says, and the page too where it says the same. `{...}` stands for what is put
 * in.
 *
 * @typedef {"live" | "polling" | "connecting" | "reconnecting" | "offline" | "missing" | "refused"
 *   | "paused" | "closed" | "empty" | "players" | "rank" | "next" | "first" | "nobody"} Text
 */

/** @type {Record<string, Record<Text, string>>} */
export const TEXTS = {
  en: {
    live: "Live",
    polling: "Live",
    connecting: "Connecting",
    reconnecting: "Reconnecting",
    offline: "Offline",
    missing: "There is no such board",
    refused: "This board is private",
    paused: "Paused",
    closed: "Closed",
    empty: "Nobody is on this board yet",
    players: "Players",
    rank: "Rank {rank} of {of}",
    next: "{points} to the next",
    first: "In the lead",
    nobody: "Not on this board",
  },
  de: {
    live: "Live",
    polling: "Live",
    connecting: "Verbinden",
    reconnecting: "Neu verbinden",
    offline: "Offline",
    missing: "Diese Rangliste gibt es nicht",
    refused: "Diese Rangliste ist privat",
    paused: "Angehalten",
    closed: "Beendet",
    empty: "Noch niemand auf dieser Rangliste",
    players: "Spieler",
    rank: "Rang {rank} von {of}",
    next: "{points} bis zum nächsten",
    first: "In Führung",
    nobody: "Nicht auf dieser Rangliste",
  },
  es: {
    live: "En directo",
    polling: "En directo",
    connecting: "Conectando",
    reconnecting: "Reconectando",
    offline: "Sin conexión",
    missing: "No existe esta clasificación",
    refused: "Esta clasificación es privada",
    paused: "En pausa",
    closed: "Terminado",
    empty: "Todavía no hay nadie en esta clasificación",
    players: "Jugadores",
    rank: "Puesto {rank} de {of}",
    next: "a {points} del siguiente",
    first: "En cabeza",
    nobody: "No está en esta clasificación",
  },
};

/** @param {string} text @param {Record<string, string>} values */
export function fill(text, values) {
  return text.replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");
}
