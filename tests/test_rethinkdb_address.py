"""What the URL of a RethinkDB database says, and that no message shows any of its password."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tornado_board.settings import Settings
from tornado_board.store import open_store
from tornado_board.store.rethinkdb.address import Address

pytestmark = pytest.mark.usefixtures("io_loop")

#: A piece of a password that must not be seen.
PIECE = 4


def pieces(password: str) -> set[str]:
    return {password[n : n + PIECE] for n in range(len(password) - PIECE + 1)}


def message_of(url: str) -> str:
    """What is said of `url`, or else how the address shows itself."""
    try:
        address = Address.parse(url)
    except ValueError as error:
        return str(error)
    return f"{address} {address!r}"


#: Letters that no message has, and all that means something in a URL.
PASSWORDS = st.one_of(
    st.text(st.sampled_from("ZQXKJ7/@:#?[]%"), min_size=PIECE, max_size=12),
    st.text(st.characters(exclude_categories=["C", "Z"]), min_size=PIECE, max_size=12),
)


@pytest.mark.parametrize(
    "form",
    [
        "rethinkdb://bob:{}@host:28015/db",
        "rethinkdb://bob:{}@host/db",
        "rethinkdb://bob:{}@host/",
        "rethinkdb://bob:{}@/db",
        "rethinkdb://host/db?password={}",
        "rethinkdb://bob:{}@[::1/db",
        "rethinkdb://bob:{}@host:port/db",
    ],
)
@given(password=PASSWORDS)
@example(password="s3cret/w")
@example(password="12/s3cret")
@example(password="s3[cret")
@example(password="s3#cret")
@example(password="s3?cret")
@example(password="s\N{FULLWIDTH COMMERCIAL AT}3cret")  # NFKC makes an @ of it
def test_no_message_shows_any_of_a_password(form: str, password: str) -> None:
    shown = message_of(form.format(password))
    harmless = message_of(form.format("")) + message_of("rethinkdb://h:p/d")
    harmless += (
        message_of("rethinkdb://h/d/")
        + message_of("rethinkdb://h/d?")
        + message_of("rethinkdb://h/.")
    )
    assert [piece for piece in pieces(password) if piece in shown and piece not in harmless] == []


@pytest.mark.parametrize(
    "url",
    [
        "s3cretpass@host:28015/db",
        "rethinkdb//bob:s3cretpass@host/db",
        "s3cretpass:28015/db",
        "redis://bob:s3cretpass@host/db",
        "//bob:s3cretpass@host/db",
    ],
)
@pytest.mark.gen_test
async def test_a_url_that_names_no_store_is_not_shown(url: str, settings: Settings) -> None:
    with pytest.raises(ValueError, match="names no store") as caught:
        await open_store(url, settings)
    assert "s3cret" not in str(caught.value)
