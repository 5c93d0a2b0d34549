#!/usr/bin/env bash
# A SLURM on this host alone, for tests: all its files in one folder, loopback only, no munge, no systemd.
#   one_host.sh up   FOLDER [NODES]    prints the path of slurm.conf
#   one_host.sh down FOLDER
set -euo pipefail

verb=$1 folder=$(realpath -m "$2") nodes=${3:-2}
export SLURM_CONF=$folder/slurm.conf

free_ports() {
  python3 - "$1" <<'PY'
import socket, sys

held = [socket.create_server(("127.0.0.1", 0)) for _ in range(int(sys.argv[1]))]
print(*(s.getsockname()[1] for s in held))
PY
}

configure() {
  local host ports me
  host=$(hostname -s) me=$(id -un)
  read -ra ports <<<"$(free_ports $((nodes + 1)))"
  # Nodes claim more than this host has (config_overrides), so that two jobs run side by side on any machine.
  # Without a default of memory, a job that names none would take a whole node.
  cat >"$SLURM_CONF" <<CONF
ClusterName=onehost
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=${ports[0]}
SlurmUser=$me
SlurmdUser=$me
AuthType=auth/none
CredType=cred/none
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool-%n
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd-%n.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd-%n.log
MpiDefault=none
SwitchType=switch/none
TaskPlugin=task/none
ProctrackType=proctrack/linuxproc
JobAcctGatherType=jobacct_gather/none
JobCompType=jobcomp/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SlurmdParameters=config_overrides
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=2,bf_interval=2
SlurmdTimeout=10
ReturnToService=2
KillWait=5
$(for k in $(seq "$nodes"); do
    echo "NodeName=n$k NodeHostname=$host NodeAddr=127.0.0.1 Port=${ports[$k]} CPUs=4 RealMemory=8192 State=UNKNOWN"
  done)
PartitionName=debug Nodes=ALL Default=YES MaxTime=1-00:00:00 State=UP DefMemPerCPU=256
CONF
}

up() {
  mkdir -p "$folder/state"
  configure
  slurmctld=$(command -v slurmctld || echo /usr/sbin/slurmctld) slurmd=$(command -v slurmd || echo /usr/sbin/slurmd)
  "$slurmctld"
  for k in $(seq "$nodes"); do
    mkdir -p "$folder/spool-n$k"
    "$slurmd" -N "n$k"
  done
  for _ in $(seq 150); do
    if [ "$(sinfo -h -N -o %T 2>/dev/null | grep -c idle)" = "$nodes" ]; then
      echo "$SLURM_CONF"
      return
    fi
    sleep 0.2
  done
  tail -n 20 "$folder"/*.log >&2
  down
  return 1
}

down() {
  scancel -u "$(id -un)" 2>/dev/null && sleep 1 || true
  for file in "$folder"/slurmd-*.pid "$folder/slurmctld.pid"; do
    if [ -s "$file" ]; then kill "$(cat "$file")" 2>/dev/null || true; fi
  done
}

case $verb in
  up | down) "$verb" ;;
  *) echo "usage: $0 up|down FOLDER [NODES]" >&2; exit 2 ;;
esac
