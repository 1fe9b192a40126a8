"""The routes by which apps, pages and backends report what pushes did."""
