"""
What providers speak: where they are, which fields of a request and an answer matter, how they say errors.

Everything that knows a provider's name or the shape of its JSON lives here, as data wherever it can. Pure
functions and small readers; nothing here opens a socket. Read `catalogue.py` first, then `formats.py`.
"""
