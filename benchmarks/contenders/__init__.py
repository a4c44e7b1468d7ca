"""One module per contender; each knows only how its own actors are written and started."""
