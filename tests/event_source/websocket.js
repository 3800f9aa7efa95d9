// Follows the WebSocket at the address given, for so many messages, and tells each on a line; then
// closes it, and tells how that ended.
const [address, count] = process.argv.slice(2);
const socket = new WebSocket(address);
let left = Number(count);
socket.onmessage = ({ data }) => {
  console.log(data);
  left -= 1;
  if (left === 0) socket.close(4001, "enough");
};
socket.onerror = ({ message }) => console.error(message);
socket.onclose = ({ code, wasClean }) => console.log(JSON.stringify({ code, wasClean }));
