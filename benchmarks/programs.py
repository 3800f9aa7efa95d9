"""The C programs: the load client and the floors. Compiled on first use."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

_SOURCES = Path(__file__).parent / "native"
_CACHE = Path(__file__).parent / ".cache"


def program(name: str, *libraries: str) -> Path:
    """The executable of ``native/{name}.c``, compiled with `cc` if its source has changed, and
    linked with `libraries`.

    Raises `SystemExit` where there is no C compiler.
    """
    source = _SOURCES / f"{name}.c"
    digest = hashlib.sha256(source.read_bytes()).hexdigest()[:12]
    target = _CACHE / f"{name}-{digest}"
    if not target.exists():
        compiler = shutil.which(os.environ.get("CC", "cc"))
        if compiler is None:
            raise SystemExit("the benchmarks need a C compiler: apt-get install gcc libc6-dev")
        _CACHE.mkdir(exist_ok=True)
        partial = target.with_suffix(f".{os.getpid()}")
        linked = [f"-l{library}" for library in libraries]
        subprocess.run([compiler, "-O2", "-Wall", "-o", partial, source, *linked], check=True)
        partial.rename(target)
    return target
