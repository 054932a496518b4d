"""core: pure: values in, values out, time passed in; no trio, no I/O."""
