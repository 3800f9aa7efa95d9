"""Archives that tests make, unpacked."""

from __future__ import annotations

import tarfile
from pathlib import Path


def unpack(archive: Path, folder: Path) -> None:
    """Unpack the tar file `archive` into `folder`."""
    with tarfile.open(archive) as opened:
        # Security releases of Python brought the filters; newer ones warn where there is none.
        if hasattr(tarfile, "data_filter"):
            opened.extractall(folder, filter="data")
        else:
            opened.extractall(folder)
