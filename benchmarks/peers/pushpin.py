"""Pushpin in front of a small origin that holds each stream; events published with POST."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import shutil
import time
from pathlib import Path

import tornado.httpserver
import tornado.netutil
import tornado.web

from benchmarks import payload
from benchmarks.peers import OverHTTP
from benchmarks.processes import Failed, Process, free_port, python, wait_for_port

_INTERNAL = Path("/usr/lib/pushpin/internal.conf")

_CONFIG = """\
[global]
include={folder}/internal.conf
rundir={folder}
ipc_prefix=bench-

[runner]
services=condure,zurl,pushpin-proxy,pushpin-handler
http_port=127.0.0.1:{port}
logdir={folder}
log_level=1
client_buffer_size=8192
client_maxconn=19000

[proxy]
routesfile={folder}/routes

[handler]
push_in_spec=ipc://{folder}/push
push_in_sub_specs=ipc://{folder}/sub
push_in_http_addr=127.0.0.1
push_in_http_port={publish_port}
push_in_http_max_headers_size=10000
push_in_http_max_body_size=1000000
stats_spec=ipc://{folder}/stats
command_spec=ipc://{folder}/command
message_rate=10000000
message_hwm=10000000
"""


class Pushpin(OverHTTP):
    name = "Pushpin"
    publish_path = "/publish/"
    at_once = 16  # with more, some are answered 502 while the origin is asked

    def missing(self) -> str | None:
        absent = [name for name in ("pushpin", "condure", "zurl") if shutil.which(name) is None]
        if not absent and not _INTERNAL.exists():
            return f"it has no {_INTERNAL}"
        return f"apt-get install {' '.join(absent)}" if absent else None

    def start(self, folder: Path) -> None:
        self.origin = Process(python(__name__), log=folder / "origin.log")
        origin_port = self.origin.answer()["port"]
        self.port, self.publish_port = free_port(), free_port()
        (folder / "routes").write_text(f"* 127.0.0.1:{origin_port}\n")
        # Debian's zurl is a service of the whole machine; this one is the benchmark's own.
        internal = _INTERNAL.read_text().replace("/var/run/zurl/", f"{folder}/bench-")
        (folder / "internal.conf").write_text(internal)
        config = folder / "pushpin.conf"
        config.write_text(
            _CONFIG.format(folder=folder, port=self.port, publish_port=self.publish_port)
        )
        command = ["pushpin", f"--config={config}"]
        self.process = Process(command, log=folder / "server.log")
        wait_for_port(self.port, self.process)
        wait_for_port(self.publish_port, self.process)
        self._wait_until_ready()

    def stop(self) -> None:
        super().stop()
        if hasattr(self, "origin"):
            self.origin.stop()

    def _wait_until_ready(self) -> None:
        """It listens before it can serve, and answers 500 until then."""
        for _ in range(100):
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
            with contextlib.suppress(OSError, http.client.HTTPException):
                connection.request("GET", self.path)
                if connection.getresponse().status == 200:
                    return
            connection.close()
            time.sleep(0.1)
        raise Failed("Pushpin doesn't serve")

    def body(self, seq: int) -> bytes:
        stream = {"content": payload.event(seq).decode()}
        item = {"channel": "bench", "formats": {"http-stream": stream}}
        return json.dumps({"items": [item]}).encode()


class Origin(tornado.web.RequestHandler):
    """Answers with the instruction to hold the stream open."""

    def get(self) -> None:
        for name, value in payload.HEADERS.items():
            self.set_header(name, value)
        self.set_header("Grip-Hold", "stream")
        self.set_header("Grip-Channel", "bench")
        self.write(payload.RETRY)


async def main() -> None:
    server = tornado.httpserver.HTTPServer(tornado.web.Application([("/events", Origin)]))
    sockets = tornado.netutil.bind_sockets(0, "127.0.0.1", backlog=4096)
    server.add_sockets(sockets)
    print(json.dumps({"port": sockets[0].getsockname()[1]}), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
