"""Conversations between processes: one supervised stream, its server side, and the same thing without a network."""
