"""The fault harness: whole servers under load, one part broken at a time, everything checked.

``python -m tests.faults --help`` says how to run it. `relay` stands between any two parts and
breaks what is between them, `deployment` starts the parts, `recorder` has the clients and writers
and keeps what they saw in a `record`, `checks` judges it afterwards, `scenarios` says what breaks.
"""
