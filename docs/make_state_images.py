"""Makes the pictures of the page's states in docs/images/states.

``python docs/make_state_images.py`` makes all of them; with names of states, such as ``wall`` or
``offline``, only those.

It starts a server of its own, and needs a built page and Chromium.
"""

from __future__ import annotations

import asyncio
import base64
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ROOT / "docs" / "images" / "states"
sys.path.insert(0, str(ROOT))

from tests.chromium import Chromium, Tab  # noqa: E402
from tests.page_states import (  # noqa: E402
    FIRST,
    LOOKS,
    OFFLINE,
    PRIVATE,
    STATES,
    before_offline,
    bring,
    bring_before_react,
    look,
    lose,
    prepare,
    private_flags,
)
from tests.server_process import ServerProcess  # noqa: E402

#: How the states look that are best seen otherwise than dark on a desk, and others that are made of
#: the default.
LOOK_OF = {
    "wall": "portrait",
    "me": "light",
    "found": "phone",
    "empty": "light",
    "share": "light",
    "german": "light",
}
DEFAULT_LOOKS = [name for name in LOOKS if name != "dark"]

QUALITY = 60


async def save(tab: Tab, name: str) -> None:
    # The chart and whatever is loaded last have come, and nothing waits for a frame.
    await tab.run("new Promise((resolve) => setTimeout(resolve, 800))")
    shot = await tab.send("Page.captureScreenshot", format="webp", quality=QUALITY)
    data = base64.b64decode(shot["data"])
    path = IMAGES / f"{name}.webp"
    path.write_bytes(data)
    print(f"{path.relative_to(ROOT)}: {len(data):,} bytes", flush=True)


async def main(names: set[str]) -> None:
    IMAGES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as another:
        server = ServerProcess(Path(folder)).wait_until_serving()
        private = ServerProcess(Path(another), *private_flags()).wait_until_serving()
        chromium = Chromium("--hide-scrollbars", "--lang=en-US")
        try:
            prepare(server)
            tab = await chromium.open()
            for state in STATES:
                if names and state.name not in names:
                    continue
                await look(tab, LOOK_OF.get(state.name, "dark"))
                await bring(tab, server, state)
                await save(tab, state.name)
                if state.name == "default":
                    for name in DEFAULT_LOOKS:
                        await look(tab, name)
                        await bring(tab, server, state)
                        await save(tab, f"default-{name}")
            await look(tab, "dark")
            if not names or FIRST.name in names:
                await bring_before_react(tab, server)
                await save(tab, FIRST.name)
            if not names or PRIVATE.name in names:
                await bring(tab, private, PRIVATE)
                await save(tab, PRIVATE.name)
            if not names or OFFLINE.name in names:
                await look(tab, "dark")
                await before_offline(tab, server)
                await lose(tab, server)
                await save(tab, OFFLINE.name)
            if tab.complaints:
                print("\n".join(tab.complaints))
        finally:
            chromium.close()
            server.kill()
            private.kill()


if __name__ == "__main__":
    asyncio.run(main(set(sys.argv[1:])))
