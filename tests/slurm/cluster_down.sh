#!/usr/bin/env bash
# Ends the cluster that cluster_up.sh FOLDER started, with every job on it.
set -uo pipefail

[ $# -eq 1 ] || { echo "usage: cluster_down.sh FOLDER" >&2; exit 2; }
cd "$1" || exit 1
folder=$(pwd)
export SLURM_CONF=$folder/slurm.conf
timeout 20 scancel --user="$(id -un)" --full --signal=KILL 2>/dev/null
timeout 20 scancel --user="$(id -un)" 2>/dev/null

end() {
    local pid
    pid=$(cat "$1" 2>/dev/null) || return 0
    kill -0 "$pid" 2>/dev/null || return 0
    kill "$pid" 2>/dev/null
    for _ in $(seq 100); do
        kill -0 "$pid" 2>/dev/null || return 0
        sleep 0.1
    done
    kill -9 "$pid" 2>/dev/null
}

for _ in $(seq 50); do
    [ -z "$(timeout 5 squeue --noheader 2>/dev/null)" ] && break
    sleep 0.2
done
for node in gpu1 gpu2 gpu3 gpu4; do end "run/slurmd-$node.pid"; done
end run/slurmctld.pid
end run/slurmdbd.pid
end database/pid
end run/munged.pid
for name in slurm.conf gres.conf; do
    [ "$(readlink "/etc/slurm/$name")" = "$folder/$name" ] && rm "/etc/slurm/$name"
done
# Steps of nodes that were lost: nobody else can end them.
for socket in spool/gpu*/gpu*_*.*; do
    [ -S "$socket" ] && fuser --kill --silent "$socket" 2>/dev/null
done
exit 0
