"""The admin port: the management API, and how this installation is. `application.py` puts it together."""
