"""What a cluster costs, and how long it takes to move what it owns."""
