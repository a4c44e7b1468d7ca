"""What instruments cost: `tell` with each of them on, beside `tell` without any."""
