"""Reliable delivery."""
