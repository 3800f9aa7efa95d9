"""nginx with the locations of a site, as the docs have them."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from .ports import free_port
from .proxies import NGINX
from .waiting import until_listening

DOCS = Path(__file__).parents[1]


def snippets(document: str) -> list[str]:
    """The nginx snippets in a file of the docs."""
    text = (DOCS / document).read_text("utf-8")
    return re.findall(r"^```nginx\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


class NginxSite:
    """nginx on `port`, with `locations` that pass to the server's usual address.

    What they call 127.0.0.1:8888 is `upstream`, a port.
    """

    def __init__(self, locations: str, upstream: int, folder: Path) -> None:
        self.port = free_port()
        locations = locations.replace("127.0.0.1:8888", f"127.0.0.1:{upstream}")
        config = folder / "nginx.conf"
        config.write_text(NGINX.format(folder=folder, port=self.port, locations=locations))
        self.process = subprocess.Popen(
            ["nginx", "-p", str(folder), "-c", str(config), "-e", f"{folder}/error.log"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        until_listening(self.port, self.process)

    def stop(self) -> None:
        self.process.kill()
        self.process.communicate()


def is_installed() -> bool:
    """Whether there is an nginx."""
    return shutil.which("nginx") is not None
