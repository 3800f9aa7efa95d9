"""How the page looks: on any screen, with any names, and for who may not write."""

from __future__ import annotations

from pathlib import Path

import pytest

from .nginx_site import NginxSite, is_installed, snippets
from .node import node_modules
from .page_tabs import (
    LIVE,
    SHOWN,
    OpenTab,
    Start,
    add,
    board_of,
    call,
    chromium,
    needs_page,
    open_tab,
    scores_are,
)

__all__ = ["chromium", "open_tab"]  # fixtures

pytestmark = needs_page


@pytest.mark.gen_test
async def test_rows_slide_unless_motion_is_to_be_reduced(
    server_process: Start, open_tab: OpenTab
) -> None:
    server = server_process()
    tab = await open_tab(server.url)
    await tab.until(LIVE)
    await tab.run(
        """
        window.slides = 0;
        const animate = Element.prototype.animate;
        Element.prototype.animate = function (...all) {
          window.slides += 1;
          return animate.apply(this, all);
        };
        """
    )
    score = await add(server, (await board_of(server))[-1][0], 1000)
    await tab.until(f"{SHOWN}[0][1] === {score}")
    assert await tab.run("window.slides") >= 2
    reduce = [{"name": "prefers-reduced-motion", "value": "reduce"}]
    await tab.send("Emulation.setEmulatedMedia", features=reduce)
    await tab.until("document.getAnimations().length === 0")
    before = await tab.run("window.slides")
    score = await add(server, (await board_of(server))[-1][0], 3000)
    await tab.until(f"{SHOWN}[0][1] === {score}")
    assert await tab.run("window.slides") == before
    assert await tab.run("document.getAnimations().length") == 0


@pytest.mark.parametrize("width", [320, 390, 820, 1280, 3840])
@pytest.mark.gen_test
async def test_it_fits_every_screen(server_process: Start, open_tab: OpenTab, width: int) -> None:
    server = server_process()
    name = "A name that goes on and on and will not end before the row does"
    await call(server, "/boards/demo/players/", id="long", name=name, score=2**53)
    tab = await open_tab(server.url, width=width, height=width * 9 // 16, mobile=width < 1000)
    await tab.until("document.querySelector('[data-id=long]')")
    assert await tab.run("document.documentElement.scrollWidth") <= width
    inside = """
    [...document.querySelectorAll(".row")].every((row) => {
      const box = row.getBoundingClientRect();
      return [...row.querySelectorAll(".score .digits, .point, .name")].every((part) => {
        const { left, right } = part.getBoundingClientRect();
        return left >= box.left && right <= box.right && right > left;
      });
    })
    """
    assert await tab.run(inside)
    # Large enough for a thumb: WCAG 2.2, 2.5.8 asks for 24 px.
    sizes = "[...document.querySelectorAll('.point')].map((b) => b.getBoundingClientRect().height)"
    assert min(await tab.run(sizes)) >= 36


NO_BUTTONS = "document.querySelectorAll('.point, form:not(.find)').length === 0"
NOTE = "document.querySelector('.read-only')"

#: A site that lets nobody write, each in another way.
REFUSING = {
    401: "if ($request_method = POST) { return 401; } proxy_pass http://127.0.0.1:8888;",
    403: "limit_except GET { deny all; } proxy_pass http://127.0.0.1:8888;",
    405: "if ($request_method = POST) { return 405; } proxy_pass http://127.0.0.1:8888;",
}


@pytest.mark.skipif(not is_installed(), reason="nginx is not installed")
@pytest.mark.parametrize("status", REFUSING)
@pytest.mark.gen_test
async def test_who_may_not_write_just_watches(
    server_process: Start, open_tab: OpenTab, tmp_path: Path, status: int
) -> None:
    server = server_process()
    site = NginxSite(f"location / {{ {REFUSING[status]} }}", server.port, tmp_path)
    try:
        tab = await open_tab(f"http://127.0.0.1:{site.port}")
        await tab.until(LIVE)
        before = await tab.run(SHOWN)
        await tab.run("document.querySelector('[data-id=mars] .point').focus()")
        await tab.run("document.activeElement.click()")
        await tab.until(NO_BUTTONS)
        await tab.until(f"document.activeElement === {NOTE}", saw="document.activeElement.tagName")
        assert await tab.run("document.querySelector('[role=alert]').textContent") == ""
        assert await tab.run(SHOWN) == before
        score = await add(server, "mars", 30)  # and watches on
        await tab.until(scores_are({"mars": score}))
        await tab.go(f"http://127.0.0.1:{site.port}/?board=demo")
        await tab.until(LIVE)
        assert await tab.run(NO_BUTTONS)
        assert await tab.run("document.activeElement === document.body")
        other = await open_tab(f"http://127.0.0.1:{site.port}/?readonly=0")  # another visit
        await other.until("document.querySelectorAll('.point').length === 5")
    finally:
        site.stop()


@pytest.mark.parametrize("by", ["address", "setting"])
@pytest.mark.gen_test
async def test_the_page_can_be_asked_to_have_no_buttons(
    server_process: Start, open_tab: OpenTab, by: str
) -> None:
    server = server_process(*(["--read-only-page=true"] if by == "setting" else []))
    await call(server, "/boards/", id="other", name="The other one")
    tab = await open_tab(server.url + ("/?readonly" if by == "address" else "/"))
    await tab.until(LIVE)
    assert await tab.run(NO_BUTTONS)
    await tab.until("document.querySelectorAll('.boards a').length === 2")
    await tab.run("[...document.querySelectorAll('.boards a')].at(-1).click()")
    await tab.until("document.querySelector('h1').textContent === 'The other one'")
    assert await tab.run(NO_BUTTONS)
    assert await tab.run("location.search.includes('readonly')") is (by == "address")
    assert tab.complaints == []


@pytest.mark.skipif(not is_installed(), reason="nginx is not installed")
@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.gen_test
async def test_the_page_works_below_a_path_of_another_site(
    server_process: Start, open_tab: OpenTab, tmp_path: Path, which: int
) -> None:
    keeps, strips = snippets("docs/page.md")
    assert ("8888/;" in strips, "8888/;" in keeps) == (True, False)
    server = server_process("--base-path=/lb/")
    assert f":{server.port}/lb/\n" in server.text
    site = NginxSite((keeps, strips)[which], server.port, tmp_path)
    try:
        url = f"http://127.0.0.1:{site.port}/lb/"
        tab = await open_tab(url)
        await tab.until(LIVE)
        await tab.until("document.querySelector('.chart path')")
        score = (await board_of(server))[0][1]
        await tab.run("document.querySelector('.row .point').click()")
        await tab.until(f"{SHOWN}[0][1] === {score + 1}")
        await tab.run("document.querySelector('#name').focus()")
        await tab.send("Input.insertText", text="Ada")
        await tab.run("document.querySelector('.side form').requestSubmit()")
        await tab.until("document.querySelector('.chasers .name')?.textContent === 'Ada'")
        assert {one for one in tab.requests if not one.startswith(url)} == set()
        assert len(tab.requests) > 6
        assert tab.complaints == []
    finally:
        site.stop()


@pytest.mark.gen_test
async def test_the_chosen_board_is_in_sight_among_many(
    server_process: Start, open_tab: OpenTab
) -> None:
    server = server_process()
    for i in range(30):
        await call(server, "/boards/", id=f"board-{i:02}", name=f"Board number {i}")
    tab = await open_tab(f"{server.url}/?board=board-20", width=900)
    inside = """
    (() => {
      const strip = document.querySelector(".boards")?.getBoundingClientRect();
      const tab = document.querySelector(".boards [aria-current]")?.getBoundingClientRect();
      return strip && tab && tab.left >= strip.left && tab.right <= strip.right;
    })()
    """
    await tab.until(inside)
    assert await tab.run("scrollX + scrollY") == 0
    await tab.run("document.querySelector('.boards a').click()")
    await tab.until("document.querySelector('.boards a').hasAttribute('aria-current')")
    await tab.until(inside)


@pytest.mark.gen_test
async def test_names_are_cut_at_their_end_in_any_direction_of_writing(
    server_process: Start, open_tab: OpenTab
) -> None:
    server = server_process()
    arabic = "عبد الرحمن بن محمد بن عبد الله بن خالد بن سعيد الطويل الطويل جدا"
    await call(server, "/boards/", id="names", name="Names")
    await call(server, "/boards/names/players/", id="long", name=arabic, score=2)
    await call(server, "/boards/names/players/", id="emoji", name="👩‍👩‍👧‍👦" * 9, score=1)
    tab = await open_tab(f"{server.url}/?board=names", width=1280)
    await tab.until("document.querySelectorAll('.line text').length === 2")
    name = "document.querySelector('[data-id=long] .name')"
    assert await tab.run(f"{name}.scrollWidth > {name}.clientWidth")
    # Its beginning is at the right, and in sight; the ellipsis is at the left.
    beginning = f"""
    (() => {{
      const range = document.createRange();
      range.setStart({name}.firstChild, 0);
      range.setEnd({name}.firstChild, 3);
      const [text, box] = [range, {name}].map((one) => one.getBoundingClientRect());
      return text.left >= box.left && text.right <= box.right + 1;
    }})()
    """
    assert await tab.run(beginning)
    await tab.run("document.querySelector('#name').focus()")
    await tab.send("Input.insertText", text="👩‍👩‍👧‍👦" * 9)
    assert await tab.run("document.querySelector('#name').value") == "👩‍👩‍👧‍👦" * 9
    labels = await tab.run(
        "[...document.querySelectorAll('.line text')].map((one) => one.textContent)"
    )
    assert f"\u2068{'👩‍👩‍👧‍👦' * 5}…\u2069" in labels
    assert any(label.startswith(f"\u2068{arabic[:9]}") for label in labels)


@pytest.mark.gen_test
async def test_a_copied_row_is_what_one_sees(server_process: Start, open_tab: OpenTab) -> None:
    server = server_process()
    await call(server, "/boards/", id="one", name="One")
    await call(server, "/boards/one/players/", id="ada", name="Ada", score=1_234)
    tab = await open_tab(f"{server.url}/?board=one")
    await tab.until(LIVE)
    await tab.run("getSelection().selectAllChildren(document.querySelector('.row'))")
    copied = await tab.run("getSelection().toString()")
    assert copied.split() == ["1", "Ada", "1,234"]


@pytest.mark.gen_test
async def test_forced_colours_leave_rows_and_bars(server_process: Start, open_tab: OpenTab) -> None:
    server = server_process()
    tab = await open_tab(server.url)
    await tab.until(LIVE)
    forced = [{"name": "forced-colors", "value": "active"}]
    await tab.send("Emulation.setEmulatedMedia", features=forced)
    style = "getComputedStyle(document.querySelector('.row{part}')).{property}"
    for part, side in (("", "Top"), (" .bar", "Bottom"), (" .bar", "Right")):
        drawn = style.format(part=part, property=f"border{side}Style")
        assert await tab.run(drawn) == "solid"
        width = style.format(part=part, property=f"border{side}Width")
        assert float((await tab.run(width)).removesuffix("px")) >= 1


@pytest.mark.parametrize("scores", [(0, 0, 0), (-5, -10, -50), (10, 0, -10)])
@pytest.mark.gen_test
async def test_every_board_has_bars(
    server_process: Start, open_tab: OpenTab, scores: tuple[int, ...]
) -> None:
    server = server_process()
    await call(server, "/boards/", id="low", name="Low")
    for i, score in enumerate(scores):
        await call(server, "/boards/low/players/", id=f"p{i}", name=f"P {i}", score=score)
    tab = await open_tab(f"{server.url}/?board=low")
    await tab.until(LIVE)
    await tab.until("document.getAnimations().length === 0")
    seen = """
    [...document.querySelectorAll(".row")].map((row) =>
      row.querySelector(".bar").getBoundingClientRect().right - row.getBoundingClientRect().left)
    """
    lengths = await tab.run(seen)
    assert len(lengths) == 3
    assert lengths[0] > 100
    assert min(lengths) > 2
    assert lengths == sorted(lengths, reverse=True)


@pytest.mark.parametrize(("scheme", "width"), [("dark", 1280), ("light", 1280), ("light", 360)])
@pytest.mark.gen_test(timeout=400)
async def test_axe_has_nothing_serious_to_say(
    server_process: Start, open_tab: OpenTab, scheme: str, width: int
) -> None:
    axe = (node_modules() / "axe-core" / "axe.min.js").read_text("utf-8")
    server = server_process()
    await call(server, "/boards/", id="other", name="The other one")
    tab = await open_tab(server.url, width=width)
    features = [
        {"name": "prefers-color-scheme", "value": scheme},
        {"name": "prefers-reduced-motion", "value": "reduce"},
    ]
    await tab.send("Emulation.setEmulatedMedia", features=features)
    await tab.until(LIVE)
    await tab.run("document.querySelector('#name').focus()")
    await tab.send("Input.insertText", text="Ada")
    await tab.run("document.querySelector('.side form').requestSubmit()")
    await tab.until("document.querySelector('.chasers')")
    # As DevTools' own script, which the page's policy does not hold for.
    await tab.run(axe + "\n;undefined")
    found = await tab.run(
        "axe.run().then(({ violations, passes }) => ({ passes: passes.length, serious: violations"
        ".filter(({ impact }) => impact === 'serious' || impact === 'critical')"
        ".map(({ id, nodes }) => [id, nodes.map(({ html }) => html)]) }))"
    )
    assert found["passes"] > 15
    assert found["serious"] == []
