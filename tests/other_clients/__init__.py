"""Client libraries of others, tried against a real server: ``python -m tests.other_clients``."""
