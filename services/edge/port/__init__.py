"""The data port: HTTP from applications, on aiohttp's low-level server."""
