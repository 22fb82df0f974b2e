"""What was answered before, as an edge sees it: its near cache, its recalls, and what may be kept under which key."""
