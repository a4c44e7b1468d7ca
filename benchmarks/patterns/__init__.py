"""What the patterns cost: routers, topics, timers, passivation; each beside the same done without it, or by hand."""
