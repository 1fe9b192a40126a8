"""Open executions on time, and plan them."""
