"""features: one feature, one file; they meet in pipeline.py."""
