"""Messages: templates, links, rates, retries, and each user's own time."""
