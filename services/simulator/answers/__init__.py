"""What the simulator says: one pure function per kind of body, from a question to bytes."""
