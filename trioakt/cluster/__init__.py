"""Many nodes as one: stores that prove ownership, and what is built on leases in them."""
