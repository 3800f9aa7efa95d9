/** The address of a board, to be passed on: without who is looking, and how. */
export function addressToShare(board, here = location.href) {
  const address = new URL(here);
  address.search = board ? `?${new URLSearchParams({ board })}` : "";
  address.hash = "";
  return address.href;
}

/** Whether an address leads nowhere from another machine. */
export const isLocal = (address) =>
  /^(localhost|.+\.localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(new URL(address).hostname);
