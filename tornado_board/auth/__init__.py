"""Who may do what: tokens and the keys that verify them, tickets, rates of writes, and `decide`.

Nothing in here knows HTTP but for the words of RFC 6750 that a refusal is told in.
"""
