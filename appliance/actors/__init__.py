"""actors: state of the running process that needs time or I/O."""
