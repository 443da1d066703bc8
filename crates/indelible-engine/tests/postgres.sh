#!/bin/sh
# A PostgreSQL server for tests, which ends with whoever started it: it listens on a Unix socket in a folder of its own, writes that
# folder to standard output once it answers, and stops and removes everything when its standard input closes.
# It never runs as root; where we are root, it is run as the user `postgres`. Arguments are settings of the server, such as fsync=off.
set -eu
programs=$(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -n 1)
folder=$(mktemp -d /tmp/indelible-postgres-XXXXXX)
as=
if [ "$(id -u)" = 0 ]; then
    chown postgres "$folder"
    as='runuser -u postgres --'
fi
cd "$folder"
$as "$programs/initdb" -D "$folder/data" -A trust -U tests --no-sync >"$folder/initdb.log" 2>&1
set -- $(for setting in "$@"; do printf -- '-c %s ' "$setting"; done)
$as "$programs/pg_ctl" -D "$folder/data" -l "$folder/server.log" -w start -o "-c listen_addresses= -c unix_socket_directories=$folder $*" >/dev/null
echo "$folder"
cat >/dev/null || true
$as "$programs/pg_ctl" -D "$folder/data" -m immediate -w stop >/dev/null 2>&1
rm -rf "$folder"
