"""Whether this checkout has the page, which some tests need."""

from __future__ import annotations

import pytest

from tornado_board.web.built_page import PAGE, PageNotBuilt


def is_built() -> bool:
    try:
        PAGE.page()
    except PageNotBuilt:
        return False
    return True


PAGE_IS_BUILT = pytest.mark.skipif(
    not is_built(), reason="the page is not built: python static/build_page.py"
)
