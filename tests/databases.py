"""How the tests start PostgreSQL."""

#: Tests may lose their data in a power cut.
FAST = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_connections": "300",  # of all the stacks that a process of tests has running
}
