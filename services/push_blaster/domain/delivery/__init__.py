"""Messages: templates, links, rates, retries, and the user's own time."""
