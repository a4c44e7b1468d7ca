"""Grains: actors that are there by their identity, from the first message on and only while they are needed."""
