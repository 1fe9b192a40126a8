"""HTTP in and out: parse, call, answer."""
