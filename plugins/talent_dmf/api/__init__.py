"""The pure core: what the services' protocols mean, and every decision taken on them.

Nothing here opens a socket, sleeps or reads a clock. A protocol is a generator (see :mod:`.steps`) that yields
what it needs and receives the outcome; :mod:`talent_dmf.transport.drivers` does what is asked, once with requests and
once with aiohttp.
"""

from __future__ import annotations
