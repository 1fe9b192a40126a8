#!/bin/sh
# Does what the timers of deploy/systemd do every night, for machines without systemd. Call: nightly FOLDER
# Each command runs even if another one fails. Old backups are deleted only after a new one was made.
failed=0
push-backup save "$1/$(date --utc +%Y%m%dT%H%M%SZ)" \
  && push-backup remove-old "$1" --days 14 || failed=1
push-blaster prune || failed=1
cadence-service prune || failed=1
exit $failed
