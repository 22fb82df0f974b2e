"""What the services say to each other: per service plain values, how they become messages, and a client."""
