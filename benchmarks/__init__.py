"""Measure trioakt beside the least code that could do the same work, and beside its peers; nothing here is a test."""
