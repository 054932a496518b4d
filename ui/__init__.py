"""Static pages and the manual."""
