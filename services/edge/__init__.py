"""The edge: the only service on the data path. Read pipeline.py first, then the nine stages."""
