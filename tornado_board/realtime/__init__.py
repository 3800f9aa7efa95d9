"""From a change in the store to a subscriber's socket, one direction."""
