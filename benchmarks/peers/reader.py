"""A client that opens connections and reads whatever comes, without a look at it: over TLS it
shakes hands and decrypts nothing more, so that many cost it little.

Arguments: the port, how many connections, ``tls`` or ``plain``, and the path of a stream to ask
for, if any. Prints a line when all are open, and ends with the server.
"""

from __future__ import annotations

import os
import selectors
import socket
import ssl
import sys

from benchmarks.processes import raise_file_limit

#: How much of a response is read at a time.
_CHUNK = 65_536


def main(port: int, count: int, kind: str, path: str = "") -> None:
    raise_file_limit()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    selector = selectors.DefaultSelector()
    for _ in range(count):
        sock = socket.create_connection(("127.0.0.1", port))
        if kind == "tls":
            sock = context.wrap_socket(sock)
        if path:
            accept = "Accept: text/event-stream\r\n"
            sock.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{accept}\r\n".encode())
            if b"text/event-stream" not in sock.recv(_CHUNK):
                raise SystemExit("this is no stream")
        sock.setblocking(False)
        selector.register(sock, selectors.EVENT_READ)
    print("{}", flush=True)
    while True:
        for key, _ in selector.select():
            try:
                if not os.read(key.fd, _CHUNK):
                    return
            except BlockingIOError:
                pass


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:])
