"""Parts that all routes and pages share."""
