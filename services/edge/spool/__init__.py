"""
Spool: finished requests on their way to analytics, on disk until they are acknowledged.

`spool.py` takes rows from the request path, `journal.py` keeps them in segment files of a folder (`segment.py`,
`frames.py`), `sender.py` sends whole batches from there.
"""
