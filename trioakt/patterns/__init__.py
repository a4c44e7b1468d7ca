"""Patterns made of the public parts alone, a file each; users write their own in the same way."""
