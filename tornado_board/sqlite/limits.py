"""How much waits, and for how long: the bounds of everything in here."""

from __future__ import annotations

#: Writes that share one transaction, so that the first of them isn't kept waiting: it ends with the
#: one whose weight makes it so many or more.
BATCH = 500

#: Those that weigh so much each have transactions of their own, each up to this weight: some fifty
#: milliseconds.
HEAVY_BATCH = 4_000

#: KiB of pages that the writer keeps in memory. Updates of 200,000 players, 1,000 at a time, took
#: 10 % less of the CPU than with SQLite's 2,000.
WRITER_CACHE = 16_000

#: Threads that read for clients, each with a connection of its own.
READERS = 3

#: Clients' reads that may wait for a reader, of all boards and of one; more are refused.
WAITING_READS = 5_000
WAITING_READS_OF_ONE = 2_000

#: Long reads at a time, each in a transaction and a thread of its own: exports.
SNAPSHOTS = 4

#: The server's own reads that may wait: the feed's, the log's for each live board, the sweep's.
OWN_READS = 20_000

#: How often, in seconds, an idle writer looks whether another process has written.
POLL = 0.1

#: How long, in seconds, a write waits for another process's transaction.
BUSY = 5.0

#: How often, in seconds, a write that waits for that looks whether the database is being closed.
BUSY_STEP = 0.1

#: How often, in seconds, it is tried whether a file that could not be written to can be again.
PROBE = 1.0

#: How long, in seconds, others must not have written before their writes are marked as seen.
RENEW = 1.0

#: From how many bytes on a WAL is moved into the file while nobody writes, and how often, in
#: seconds, that is tried. SQLite itself does it at commits, past 1,000 pages, and keeps its size.
LARGE_WAL = 8 * 1024 * 1024
CHECKPOINT = 2.0
