"""Real processes for tests: Narrows together or apart, with the Redis it shares."""
