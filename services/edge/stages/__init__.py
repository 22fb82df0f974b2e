"""The nine stages of a request, one file each, in the order of pipeline.py."""
