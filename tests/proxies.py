"""nginx, HAProxy, Varnish and Caddy in front of the server: with as little configuration as they
take, and as the files in ``deploy/`` have it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from .ports import free_port
from .waiting import until_listening

#: nginx around the locations of a site.
NGINX = """
daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ }}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port};
        {locations}
    }}
}}
"""

_NGINX = NGINX.replace(
    "{locations}", "location / {{ proxy_pass http://127.0.0.1:{upstream}; {extra} }}"
)

_HAPROXY = """
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    {extra}
frontend front
    bind 127.0.0.1:{port}
    default_backend back
backend back
    server one 127.0.0.1:{upstream}
"""

_VARNISH = """
vcl 4.1;
backend default {{ .host = "127.0.0.1"; .port = "{upstream}"; {extra} }}
"""

DEPLOY = Path(__file__).parents[1] / "deploy"

#: Around a site of nginx.
_NGINX_SITES = """
daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    {site}
}}
"""

#: Around a site of Caddy: no port but the site's own, and no certificate.
_CADDY_SITES = """
{{
\tadmin off
\tauto_https off
}}
{site}
"""

#: The files in ``deploy/``: what of them is another here, and what stands around them.
_DEPLOYED = {
    "nginx": ("nginx.conf", "listen 80;", "listen 127.0.0.1:{port};", _NGINX_SITES),
    "haproxy": ("haproxy.cfg", "bind :80\n", "bind 127.0.0.1:{port}\n", "{site}"),
    "caddy": ("Caddyfile", "boards.example {{", "http://127.0.0.1:{port} {{", _CADDY_SITES),
}

#: The address of the server in those files.
_SERVER = "127.0.0.1:8888"

_TEMPLATES = {"nginx": _NGINX, "haproxy": _HAPROXY, "varnishd": _VARNISH}

#: Each kind: the program, and what it is given beside the defaults.
KINDS = {
    "nginx": ("nginx", ""),
    "nginx, HTTP/1.1 to the server": (
        "nginx",
        'proxy_http_version 1.1; proxy_set_header Connection "";',
    ),
    "nginx, unbuffered": ("nginx", "proxy_buffering off;"),
    "nginx, passing the host on": ("nginx", "proxy_set_header Host $host;"),
    "nginx, WebSockets too": (
        "nginx",
        "proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; "
        "proxy_set_header Connection upgrade;",
    ),
    "haproxy": ("haproxy", ""),
    "haproxy, forwarding addresses": ("haproxy", "option forwardfor"),
    "varnish": ("varnishd", ""),
    "nginx, as in deploy": ("nginx", None),
    "haproxy, as in deploy": ("haproxy", None),
    "caddy, as in deploy": ("caddy", None),
}


def deployed(program: str, *, port: int, upstream: int, folder: Path) -> str:
    """The configuration in ``deploy/``, with other ports."""
    name, listens, listens_here, around = _DEPLOYED[program]
    text = (DEPLOY / name).read_text("utf-8")
    for old, new in (
        (listens.replace("{{", "{"), listens_here.format(port=port)),
        (_SERVER, f"127.0.0.1:{upstream}"),
    ):
        assert text.count(old) == 1, f"{old} in {name}"
        text = text.replace(old, new)
    return around.format(folder=folder, site=text)


class Proxy:
    """A proxy of `kind` on `port`, in front of the server on port `upstream`."""

    def __init__(self, kind: str, upstream: int, folder: Path) -> None:
        program, extra = KINDS[kind]
        self.port = free_port()
        config = folder / f"{program}.conf"
        if extra is None:
            text = deployed(program, port=self.port, upstream=upstream, folder=folder)
        else:
            text = _TEMPLATES[program].format(
                folder=folder, port=self.port, upstream=upstream, extra=extra
            )
        config.write_text(text)
        command = {
            "nginx": ["nginx", "-p", str(folder), "-c", str(config), "-e", f"{folder}/error.log"],
            "haproxy": ["haproxy", "-db", "-q", "-f", str(config)],
            "caddy": ["caddy", "run", "--config", str(config), "--adapter", "caddyfile"],
            "varnishd": [
                # Without a jail: as another user it could not read the folder.
                *("varnishd", "-F", "-j", "none", "-n", str(folder / "varnish")),
                *("-f", str(config), "-a", f"127.0.0.1:{self.port}", "-s", "malloc,16m"),
            ],
        }[program]
        self.process = subprocess.Popen(
            command,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            cwd=folder,
            env={**os.environ, "XDG_CONFIG_HOME": str(folder), "XDG_DATA_HOME": str(folder)},
        )
        until_listening(self.port, self.process)

    def stop(self) -> None:
        # Not killed: Varnish would leave its child behind.
        self.process.terminate()
        self.process.communicate()
