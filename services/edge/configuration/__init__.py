"""What the edge runs on: the snapshot it follows, its copy on disk, and what it tells the router in return."""
