"""The names of keys and channels in Redis."""

from __future__ import annotations

import pytest

from tornado_board.cluster.keys import Keys, check_prefix


def test_a_board_is_found_again_by_the_names_it_has() -> None:
    keys = Keys("x:", "store-1", 3)
    for board_id in ("demo", "a:b", "replay:x", "~._-"):
        assert keys.board_of_stream(keys.stream(board_id)) == board_id
        assert keys.board_of_channel(keys.channel(board_id)) == board_id
        assert keys.board_of_stream(keys.channel(board_id)) is None
        assert keys.board_of_channel(keys.stream(board_id)) is None
    for name in ("", "demo", keys.lease, keys.wanted, keys.lease_channel, keys.stream("")):
        assert keys.board_of_stream(name) is None
        assert keys.board_of_channel(name) is None


def test_no_name_is_shared_by_another_prefix_store_or_database() -> None:
    def names(keys: Keys) -> set[str]:
        return {
            *(keys.lease, keys.trial, keys.wanted, keys.lease_channel),
            *(keys.stream("b"), keys.channel("b"), keys.streams, keys.channels),
        }

    here = Keys("x:", "a")
    assert len(names(here)) == 8
    for other in (Keys("y:", "a"), Keys("x:", "b"), Keys("x:", "a1")):
        assert not names(here) & names(other)
    database = Keys("x:", "a", 1)
    channels = {here.wanted, here.lease_channel, here.channel("b"), here.channels}
    assert not channels & names(database)


@pytest.mark.parametrize("prefix", ["", "x", "tornado_board:", "a{b}/~!", "x" * 64])
def test_a_prefix_of_visible_ascii_is_taken(prefix: str) -> None:
    check_prefix(prefix)


@pytest.mark.parametrize("prefix", ["x" * 65, "a b", "a\n", "é", *"*?[]\\^"])
def test_any_other_prefix_is_refused(prefix: str) -> None:
    with pytest.raises(ValueError, match="visible ASCII"):
        check_prefix(prefix)


@pytest.mark.parametrize("identity", ["", "a:b", "a b", "x" * 65, "a*"])
def test_an_identity_that_a_name_cannot_have_is_refused(identity: str) -> None:
    with pytest.raises(ValueError, match="identity"):
        Keys("x:", identity)
