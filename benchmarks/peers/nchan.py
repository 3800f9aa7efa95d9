"""nginx with the nchan module: one worker, events published with POST."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from benchmarks import payload
from benchmarks.peers import OverHTTP
from benchmarks.processes import Process, free_port, wait_for_port

_MODULES = (Path("/usr/lib/nginx/modules"), Path("/usr/lib64/nginx/modules"))

_CONFIG = """\
load_module {module};
daemon off;
worker_processes 1;
worker_rlimit_nofile 20000;
pid {folder}/nginx.pid;
error_log stderr warn;
{user}
events {{ worker_connections 19000; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  keepalive_requests 1000000000;
  nchan_shared_memory_size 128m;
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location = /publish {{
      nchan_publisher;
      nchan_channel_id bench;
      nchan_message_buffer_length 1000;
      nchan_message_timeout 1h;
    }}
    location = /events {{
      nchan_subscriber eventsource;
      nchan_channel_id bench;
      nchan_eventsource_event update;
      nchan_subscriber_first_message newest;
    }}
  }}
}}
"""


class Nchan(OverHTTP):
    name = "nginx with nchan"
    publish_path = "/publish"

    def missing(self) -> str | None:
        if _nginx() and _module():
            return None
        return "apt-get install nginx-light libnginx-mod-nchan"

    def start(self, folder: Path) -> None:
        self.port = self.publish_port = free_port()
        config = folder / "nginx.conf"
        user = "user root;" if os.geteuid() == 0 else ""  # or its worker can't use `folder`
        config.write_text(
            _CONFIG.format(module=_module(), folder=folder, port=self.port, user=user)
        )
        command = [_nginx() or "nginx", "-p", str(folder), "-c", str(config)]
        self.process = Process(command, log=folder / "server.log")
        wait_for_port(self.port, self.process)

    def body(self, seq: int) -> bytes:
        return payload.data(seq).encode()


def _nginx() -> str | None:
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")


def _module() -> Path | None:
    found = (folder / "ngx_nchan_module.so" for folder in _MODULES)
    return next((module for module in found if module.exists()), None)
