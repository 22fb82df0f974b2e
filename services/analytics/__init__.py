"""What happened: durable logs of every request, and the management API that reads them. Start at module.py."""
