"""Programs that use a server of boards, to copy from. `run.py` starts one beside a server."""
