"""The kernel: one process, one tree of actors; it has no network words."""
