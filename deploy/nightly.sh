#!/bin/sh
# What the timers of deploy/systemd do every night, where there is no systemd: nightly FOLDER
# Each is tried, whatever becomes of the others; old backups go only once there is a new one.
failed=0
push-backup save "$1/$(date --utc +%Y%m%dT%H%M%SZ)" \
  && find "$1" -mindepth 1 -maxdepth 1 -mtime +14 -exec rm -r {} + || failed=1
push-blaster prune || failed=1
cadence-service prune || failed=1
exit $failed
