"""The surroundings of an app: the server, headers, bodies as bytes, and ids of requests."""
