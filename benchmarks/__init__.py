"""What the figures in the README and in docs/benchmarks.md come from. Loopback only."""
