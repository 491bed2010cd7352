"""Sending requests: the two drivers, TLS, the aiohttp client."""
