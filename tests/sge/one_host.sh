#!/usr/bin/env bash
# A Grid Engine on this host alone, for tests: all its files in one folder, its own ports, no systemd.
# It has a queue "fast" of 4 slots and 48 hours, a parallel environment "smp", a project "nmc811", 2 of a resource "gpu".
#   one_host.sh up   FOLDER    prints SGE_ROOT, SGE_QMASTER_PORT and SGE_EXECD_PORT
#   one_host.sh down FOLDER
set -euo pipefail

verb=$1 folder=$(realpath -m "$2")
programs=/usr/lib/gridengine shared=/usr/share/gridengine
export SGE_ROOT=$folder SGE_CELL=default
if [ -s "$folder/ports" ]; then read -r SGE_QMASTER_PORT SGE_EXECD_PORT <"$folder/ports"; fi

# A master or node that is up but silent would be waited for for ever.
qconf() { timeout 10 qconf "$@"; }
qstat() { timeout 10 qstat "$@"; }
qhost() { timeout 10 qhost "$@"; }
qdel() { timeout 10 qdel "$@"; }

# Ports below those that the kernel hands to clients, of which Grid Engine's own would be some; a master whose port is
# taken says nothing and waits.
free_ports() {
  python3 - <<'PY'
import contextlib
import random
import socket

held = []
while len(held) < 2:
    with contextlib.suppress(OSError):
        held.append(socket.create_server(("", random.randrange(20000, 32000))))
print(*(s.getsockname()[1] for s in held))
PY
}

# Grid Engine listens on all interfaces, whatever it is told, but hears only hosts that it knows: all names of this
# one mean localhost.
own_names() {
  getent hosts 127.0.0.1 "$(hostname)" | awk '{ for (k = 2; k <= NF; k++) if ($k != "localhost") print $k }' | sort -u
}

spool() {
  local common=$folder/default/common
  local places="$common;$folder/spool/qmaster"
  mkdir -p "$common" "$folder"/spool/{qmaster/job_scripts,execd}
  ln -s "$shared/util" "$programs" "$folder/"
  echo localhost >"$common/act_qmaster"
  echo localhost $(own_names) >"$common/host_aliases"
  cat >"$common/bootstrap" <<CONF
admin_user $(id -un)
default_domain none
ignore_fqdn true
spooling_method classic
spooling_lib libspoolc
spooling_params $places
binary_path $programs
qmaster_spool_dir $folder/spool/qmaster
security_mode none
listener_threads 2
worker_threads 2
scheduler_threads 1
CONF
  # No login shells: the user's login files may wait for a lock that a job left when it was killed.
  set_fields execd_spool_dir "$folder/spool/execd" mailer /bin/true load_report_time 00:00:01 min_uid 0 min_gid 0 \
    login_shells none \
    reporting_params "accounting=false reporting=false" <$shared/default-configuration >"$folder/configuration"
  $programs/spoolinit classic libspoolc "$places" init
  $programs/spooldefaults configuration "$folder/configuration"
  $programs/spooldefaults complexes $shared/util/resources/centry
  $programs/spooldefaults usersets $shared/util/resources/usersets
  $programs/spooldefaults managers "$(id -un)"
}

# set_fields NAME VALUE ...: what comes in, with other values
set_fields() {
  local script=""
  while [ $# -gt 0 ]; do script+="s|^$1[[:space:]].*|$1 $2|;" && shift 2; done
  sed "$script"
}

configure() {
  local new=$folder/new
  qconf -as localhost
  qconf -Ap $shared/util/resources/pe/smp
  printf '%s\n' "name nmc811" "oticket 0" "fshare 0" "acl NONE" "xacl NONE" >"$new"
  qconf -Aprj "$new"
  { qconf -sc; echo "gpu gpu INT <= YES JOB 0 0"; } >"$new"
  qconf -Mc "$new"
  printf '%s NONE\n' load_scaling user_lists xuser_lists projects xprojects usage_scaling report_variables >"$new"
  printf '%s\n' "hostname localhost" "complex_values gpu=2" >>"$new"
  qconf -Ae "$new"
  qconf -sq | set_fields qname fast hostlist localhost slots 4 pe_list smp h_rt 48:00:00 load_thresholds NONE >"$new"
  qconf -Aq "$new"
  qconf -ssconf | set_fields schedule_interval 0:0:1 flush_submit_sec 1 flush_finish_sec 1 >"$new"
  qconf -Msconf "$new"
}

# until_it SECONDS COMMAND ...: true as soon as the command is
until_it() {
  local end=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    if [ $SECONDS -ge $end ]; then return 1; fi
    sleep 0.2
  done
}

node_is_there() { qhost -F mem_free -h localhost | grep -q hl:mem_free; }
no_job_is_there() { [ -z "$(qstat -u '*')" ]; }

up() {
  mkdir -p "$folder"
  free_ports >"$folder/ports"
  read -r SGE_QMASTER_PORT SGE_EXECD_PORT <"$folder/ports"
  export SGE_QMASTER_PORT SGE_EXECD_PORT
  trap failed EXIT
  spool
  timeout 30 sge_qmaster
  until_it 30 qconf -sh
  configure
  timeout 30 sge_execd
  until_it 30 node_is_there
  trap - EXIT
  echo "$folder $SGE_QMASTER_PORT $SGE_EXECD_PORT" >&3
}

failed() {
  tail -n 20 "$folder"/spool/qmaster/messages "$folder"/spool/execd/*/messages || true
  down
}

down() {
  export SGE_QMASTER_PORT SGE_EXECD_PORT
  qdel -u '*' || true
  until_it 10 no_job_is_there || true
  qconf -ke all || true
  qconf -km || true
  until_it 2 no_process_is_there || kill -9 $(own_processes) || true # a master may take long to end
}

own_processes() {
  for process in $(pgrep '^sge_'); do
    if grep -qszxF "SGE_ROOT=$folder" "/proc/$process/environ"; then echo "$process"; fi
  done
}

no_process_is_there() { [ -z "$(own_processes)" ]; }

case $verb in
  up | down) "$verb" 3>&1 >&2 ;;
  *) echo "usage: $0 up|down FOLDER" >&2; exit 2 ;;
esac
