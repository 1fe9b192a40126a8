-- Two databases. A role owns each of them, and may do nothing else on the server.
-- Run it once by psql as a superuser, with PUSH_BLASTER_PASSWORD and CADENCE_PASSWORD in the environment.
\set ON_ERROR_STOP on
\getenv push_blaster_password PUSH_BLASTER_PASSWORD
\getenv cadence_password CADENCE_PASSWORD
CREATE ROLE push_blaster LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION PASSWORD :'push_blaster_password';
CREATE ROLE cadence LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION PASSWORD :'cadence_password';
CREATE DATABASE push_blaster OWNER push_blaster;
CREATE DATABASE cadence OWNER cadence;
REVOKE ALL ON DATABASE push_blaster, cadence, postgres, template1 FROM PUBLIC;
