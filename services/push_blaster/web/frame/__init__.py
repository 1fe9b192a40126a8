"""What all routes and pages share."""
