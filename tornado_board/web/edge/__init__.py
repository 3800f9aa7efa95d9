"""HTTP of a server that follows another one: what it answers itself, and what it passes on."""
