"""Trouble with databases that no kill makes: read-only, no connections, another isolation."""

import psycopg2

from tests.torture.schedule import Blow

#: What begins each kind of trouble. Who is connected already is cut off, as in a failover.
BEGIN = {
    Blow.READ_ONLY: "SET default_transaction_read_only = on",
    Blow.SERIALIZABLE: "SET default_transaction_isolation = 'serializable'",
    Blow.NO_CONNECTIONS: "ALLOW_CONNECTIONS false",
}
#: What ends it.
END = {
    Blow.READ_ONLY: "RESET default_transaction_read_only",
    Blow.SERIALIZABLE: "RESET default_transaction_isolation",
    Blow.NO_CONNECTIONS: "ALLOW_CONNECTIONS true",
}
KICK = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"


def alter_database(server_url: str, database: str, change: str) -> bool:
    """Change a database and cut off everybody; False while the server is away."""
    try:
        connection = psycopg2.connect(server_url)
    except psycopg2.OperationalError:
        return False
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            # By default a session that an administrator opens may be read-only itself.
            cursor.execute("SET default_transaction_read_only = off")
            cursor.execute(f'ALTER DATABASE "{database}" {change}')
            cursor.execute(KICK, (database,))
    except psycopg2.OperationalError:
        return False
    finally:
        connection.close()
    return True
