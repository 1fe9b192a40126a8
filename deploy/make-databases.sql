-- Two databases. A role owns each of them, and has no further right on the server.
-- Run it by psql as a superuser, with PUSH_BLASTER_PASSWORD and CADENCE_PASSWORD in the environment. You can run it again, for
-- example after a failure: it then makes what is missing, and sets the passwords. It changes no other database.
\set ON_ERROR_STOP on
\getenv push_blaster_password PUSH_BLASTER_PASSWORD
\getenv cadence_password CADENCE_PASSWORD
SELECT format('%s ROLE %I LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION PASSWORD %L',
              CASE WHEN EXISTS (SELECT FROM pg_roles WHERE rolname = name) THEN 'ALTER' ELSE 'CREATE' END, name, password)
  FROM (VALUES ('push_blaster', :'push_blaster_password'), ('cadence', :'cadence_password')) AS role (name, password)
\gexec
SELECT format('CREATE DATABASE %I OWNER %I', name, name)
  FROM (VALUES ('push_blaster'), ('cadence')) AS own (name)
 WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = name)
\gexec
REVOKE ALL ON DATABASE push_blaster, cadence FROM PUBLIC;
