"""The upstream client: HTTP/1.1 to providers over pooled connections. Read client.py first, then connection.py."""
