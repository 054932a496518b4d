"""Wire formats as pure translation: a family of modules per format, Chat Completions between them.

`anthropic` and `responses` go both ways (a client's format, or a provider's); nothing here waits.
"""
