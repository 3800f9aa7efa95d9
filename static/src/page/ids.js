/** What may be the id of a player or of a board. */
export const ID = /^(?!\.{1,2}$)[\w.~-]{1,64}$/;
