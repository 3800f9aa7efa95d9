"""Makes the pictures of the page in docs/images: ``python docs/make_images.py``.

It starts a server of its own with a made-up race, looks at it with Chromium, and needs a built page
and Pillow (``python -m pip install -e '.[docs]'``).
"""

from __future__ import annotations

import asyncio
import base64
import io
import itertools
import random
import sys
import tempfile
from pathlib import Path
from typing import Any

import ujson
from PIL import Image
from tornado.httpclient import AsyncHTTPClient

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ROOT / "docs" / "images"
sys.path.insert(0, str(ROOT))

from tests.chromium import Chromium, Tab  # noqa: E402
from tests.server_process import ServerProcess  # noqa: E402

BOARD = "regatta"
BOATS = ("Albatross", "Petrel", "Gannet", "Fulmar", "Skua", "Tern")

#: The race before the pictures are taken, in seconds, and its seed.
WARM_UP = 100.0
SEED = 11

#: The animation: its size, how long it is in seconds, and pictures a second. It is taken this many
#: times slower than it is shown, as a picture takes its time.
SIZE = {"width": 1120, "height": 630, "deviceScaleFactor": 0.8}
LENGTH = 7.0
RATE = 10
SLOWER = 5
#: What boats may gain at a time while it is taken, so that they pass each other.
SPRINT = (3, 8, 21, 34)

#: No picture is larger, in bytes; the animation takes the best of these qualities that fits.
LARGEST = 350_000
QUALITIES = (60, 50, 40, 30, 20)


class Race:
    """Adds points to boats by chance, until it is cancelled."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.random = random.Random(SEED)
        self.client = AsyncHTTPClient(force_instance=True)

    async def post(self, path: str, **body: object) -> Any:
        answer = await self.client.fetch(
            self.url + path,
            method="POST",
            headers={"Content-Type": "application/json"},
            body=ujson.dumps(body),
        )
        return ujson.loads(answer.body)

    async def prepare(self) -> None:
        await self.post("/boards/", id=BOARD, name="Harbour regatta")
        for boat in BOATS:
            score = self.random.randrange(120, 190)
            path = f"/boards/{BOARD}/players/"
            await self.post(path, id=boat.lower(), name=boat, score=score)

    async def run(self, pause: float, amounts: tuple[int, ...] = (1, 2, 3, 5, 8, 13)) -> None:
        while True:
            boat = self.random.choice(BOATS).lower()
            amount = self.random.choice(amounts)
            await self.post(f"/boards/{BOARD}/players/{boat}/score-add/", amount=amount)
            await asyncio.sleep(self.random.uniform(0.3, 1.7) * pause)


async def open_tab(chromium: Chromium, url: str, scheme: str, **metrics: Any) -> Tab:
    tab = await chromium.open()
    defaults = {"deviceScaleFactor": 1, "mobile": False}
    await tab.send("Emulation.setDeviceMetricsOverride", **{**defaults, **metrics})
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    await tab.send("Emulation.setEmulatedMedia", features=features)
    await tab.go(url)
    await tab.until("document.querySelector('.state')?.dataset.state === 'live'")
    return tab


async def picture(tab: Tab) -> Image.Image:
    answer = await tab.send("Page.captureScreenshot", format="png")
    return Image.open(io.BytesIO(base64.b64decode(answer["data"]))).convert("RGB")


async def frames(tab: Tab) -> tuple[list[Image.Image], list[int]]:
    """Pictures of `LENGTH` seconds, and how long each one is to be shown, in milliseconds."""
    loop = asyncio.get_running_loop()
    await tab.send("Animation.enable")
    await tab.send("Animation.setPlaybackRate", playbackRate=1 / SLOWER)
    start = loop.time()
    taken: list[Image.Image] = []
    times: list[float] = []
    while loop.time() - start < LENGTH * SLOWER:
        times.append(loop.time() - start)
        taken.append(await picture(tab))
        await asyncio.sleep(max(0, start + len(taken) * SLOWER / RATE - loop.time()))
    times.append(loop.time() - start)
    return taken, [round(1000 * (b - a) / SLOWER) for a, b in itertools.pairwise(times)]


def save(image: Image.Image, name: str, **options: Any) -> bool:
    """Write a picture; whether it is small enough."""
    path = IMAGES / name
    image.save(path, **options)
    size = path.stat().st_size
    print(f"{path.relative_to(ROOT)}: {image.width} x {image.height}, {size:,} bytes")
    return size <= LARGEST


async def main() -> None:
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        server = ServerProcess(Path(folder)).wait_until_serving()
        chromium = Chromium("--hide-scrollbars", "--lang=en-US")
        try:
            race = Race(server.url)
            await race.prepare()
            url = f"{server.url}/?board={BOARD}"
            # The first tab watches from the beginning, so that there is a history.
            first = await open_tab(chromium, url, "dark", width=1440, height=810)
            running = asyncio.create_task(race.run(0.7))
            await asyncio.sleep(WARM_UP)
            save(await picture(first), "page.png", optimize=True)
            light = await open_tab(chromium, url, "light", width=1440, height=810)
            phone = {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}
            hand = await open_tab(chromium, url, "dark", **phone)
            await asyncio.sleep(2)
            save(await picture(light), "page-light.png", optimize=True)
            save(await picture(hand), "page-phone.png", optimize=True)
            small = await open_tab(chromium, url, "dark", **SIZE)
            running.cancel()
            await asyncio.sleep(2)
            running = asyncio.create_task(race.run(0.6 * SLOWER, SPRINT))
            taken, durations = await frames(small)
            running.cancel()
            moving = {"save_all": True, "append_images": taken[1:], "duration": durations}
            for quality in QUALITIES:
                if save(taken[0], "page.webp", quality=quality, method=4, loop=0, **moving):
                    break
        finally:
            chromium.close()
            server.kill()


if __name__ == "__main__":
    asyncio.run(main())
