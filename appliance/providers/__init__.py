"""providers: providers as data, dialects as pure translation."""
