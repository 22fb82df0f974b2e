"""Resources: what operators write. The models, their checks, and the documents they come in."""
