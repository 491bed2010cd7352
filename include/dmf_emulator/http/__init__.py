"""HTTP/1.1 over real sockets: listeners, messages, bodies, TLS. Nothing here knows what is served."""
