"""What is kept in memory of a board: no I/O, no clock, no task."""
