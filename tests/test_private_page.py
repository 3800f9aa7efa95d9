"""Private boards in a real browser: its cookies, and streams that carry a ticket."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from tornado_board.auth.claims import LEEWAY

from .page_tabs import LIVE, STATE, OpenTab, chromium, needs_page, open_tab
from .server_process import ServerProcess
from .tokens import SECRET, token

__all__ = ["chromium", "open_tab"]  # fixtures

pytestmark = needs_page

Start = Callable[..., ServerProcess]


@pytest.fixture
def private_server(server_process: Start) -> ServerProcess:
    return server_process("--private", TORNADO_BOARD_TOKEN_SECRET=SECRET)


@pytest.mark.gen_test
async def test_a_cookie_opens_the_page(private_server: ServerProcess, open_tab: OpenTab) -> None:
    tab = await open_tab(private_server.url)
    await tab.send("Network.clearBrowserCookies")
    await tab.until("document.body.innerText.includes('needs a token')")

    async def has(text: str) -> None:
        await tab.send(
            "Network.setCookie",
            **{"name": "tornado_board_token", "value": text, "url": private_server.url},
            **{"httpOnly": True, "sameSite": "Strict"},
        )
        await tab.go(private_server.url)

    await has(token(scope="read"))
    await tab.until(LIVE)
    assert await tab.run("document.cookie") == "", "scripts can't read it"
    await has(token(scope="write"))
    await tab.until(LIVE)
    answer = await tab.run(
        "fetch('/boards/demo/players/mars/score-add/', {method: 'POST'}).then((a) => a.json())"
    )
    assert answer["score"] == 20
    assert not any("Content Security" in complaint for complaint in tab.complaints)
    # It runs out while the page is shown: that it does is said, and tried again now and then.
    for seconds in (3, 10, 30):  # enough to load the page
        await has(token(scope="read", exp=time.time() - LEEWAY + seconds))
        await tab.until(f"['live', 'refused'].includes({STATE})", saw=STATE)
        if await tab.run(LIVE):
            break
    else:
        raise AssertionError("it never was live")
    await tab.until(f"{STATE} === 'refused'")
    await tab.until("document.body.innerText.includes('reading it needs a token')")


@pytest.mark.gen_test
async def test_an_event_source_has_a_ticket(
    private_server: ServerProcess, open_tab: OpenTab
) -> None:
    tab = await open_tab(private_server.url)
    await tab.send("Network.clearBrowserCookies")
    bearer = token(scope="read", exp=time.time() - LEEWAY + 5)
    told = await tab.run(
        f"""
        (async () => {{
          const headers = {{ Authorization: "Bearer {bearer}" }};
          const answer = await fetch("/tickets/", {{ method: "POST", headers }});
          const {{ ticket }} = await answer.json();
          const told = [];
          const listen = () => new Promise((resolve) => {{
            const source = new EventSource(`/boards/demo/events/?ticket=${{ticket}}`);
            source.addEventListener("update", ({{ data }}) => told.push(JSON.parse(data).id));
            source.addEventListener("expired", ({{ data }}) => told.push(JSON.parse(data).reason));
            source.addEventListener("error", () => {{
              told.push(source.readyState === source.CLOSED ? "refused" : "ended");
              source.close();
              resolve();
            }});
          }});
          await listen(); // up to the end of its token
          await listen(); // and not once more
          return told;
        }})()
        """
    )
    assert told == ["demo", "the token has expired", "ended", "refused"]
    assert not any(bearer in url for url in tab.requests)
