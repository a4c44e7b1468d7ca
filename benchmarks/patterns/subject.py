"""trioakt with its patterns."""
