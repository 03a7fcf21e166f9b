#!/usr/bin/env bash
# A real Slurm on this machine, as root: four nodes of four pretend GPUs each, of two types, with
# accounting and two accounts.
#
#     cluster_up.sh FOLDER
#
# Needs Debian's slurmctld slurmd slurmdbd slurm-client munge mariadb-server. Everything the
# daemons write lies in FOLDER; cluster_down.sh FOLDER ends them. /etc/slurm gets links to the
# configuration: inside a job, SLURM_CONF is not passed on. Ports: FIRST_PORT (26800) and after.
set -euo pipefail
trap 'echo "error: line $LINENO of cluster_up.sh failed; see the logs in its folder" >&2' ERR

[ $# -eq 1 ] || { echo "usage: cluster_up.sh FOLDER" >&2; exit 2; }
[ "$(id -u)" -eq 0 ] || { echo "error: slurmctld and slurmd start as root only" >&2; exit 1; }
[ -e /etc/slurm/slurm.conf ] && { echo "error: this machine has a Slurm already" >&2; exit 1; }
mkdir -p "$1"
folder=$(cd "$1" && pwd)
port=${FIRST_PORT:-26800}
host=$(hostname -s)
PATH=$PATH:/usr/sbin
cd "$folder"
mkdir -p log run spool state database
chmod 755 . log run spool state

# munge: its own key and socket, so that a munge of the machine is left alone
chown root:root . log run
head -c 1024 /dev/urandom >munge.key
chmod 400 munge.key
munged --force --key-file="$folder/munge.key" --socket="$folder/run/munge.socket" \
    --pid-file="$folder/run/munged.pid" --log-file="$folder/log/munged.log" \
    --seed-file="$folder/run/munge.seed"

# the database behind slurmdbd; as root, since another user could not enter a private FOLDER
mariadb-install-db --no-defaults --user=root --datadir="$folder/database" \
    --auth-root-authentication-method=socket --skip-test-db >log/database.log 2>&1
mariadbd --no-defaults --user=root --datadir="$folder/database" --bind-address=127.0.0.1 \
    --socket="$folder/database/socket" --port=$((port + 2)) --pid-file="$folder/database/pid" \
    --innodb-buffer-pool-size=64M >>log/database.log 2>&1 &
disown
for _ in $(seq 120); do
    mariadb-admin --no-defaults --socket="$folder/database/socket" ping >/dev/null 2>&1 && break
    sleep 0.5
done
mariadb --no-defaults --socket="$folder/database/socket" -e \
    "create database slurm_acct_db; create user slurm@localhost identified by 'pretend';
     create user slurm@127.0.0.1 identified by 'pretend';
     grant all on slurm_acct_db.* to slurm@localhost;
     grant all on slurm_acct_db.* to slurm@127.0.0.1;"

cat >slurmdbd.conf <<CONF
DbdHost=$host
DbdAddr=127.0.0.1
DbdPort=$((port + 1))
SlurmUser=root
AuthInfo=socket=$folder/run/munge.socket
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort=$((port + 2))
StorageUser=slurm
StoragePass=pretend
StorageLoc=slurm_acct_db
LogFile=$folder/log/slurmdbd.log
PidFile=$folder/run/slurmdbd.pid
CONF
chmod 600 slurmdbd.conf

# A lost node, a requeue and the end of a killed job take seconds instead of minutes.
cat >slurm.conf <<CONF
ClusterName=pretend
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$port
SlurmUser=root
AuthInfo=socket=$folder/run/munge.socket,cred_expire=10
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort=$((port + 1))
AccountingStoragePass=$folder/run/munge.socket
AccountingStorageTRES=gres/gpu,gres/gpu:h100,gres/gpu:a100
AccountingStoreFlags=job_comment
JobAcctGatherType=jobacct_gather/none
StateSaveLocation=$folder/state
SlurmctldPidFile=$folder/run/slurmctld.pid
SlurmctldLogFile=$folder/log/slurmctld.log
SlurmdPidFile=$folder/run/slurmd-%n.pid
SlurmdLogFile=$folder/log/slurmd-%n.log
SlurmdSpoolDir=$folder/spool/%n
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
GresTypes=gpu
ReturnToService=2
SlurmdTimeout=10
KillWait=5
CompleteWait=0
MinJobAge=300
SchedulerParameters=sched_interval=5,bf_interval=5
NodeName=gpu1 NodeHostname=$host NodeAddr=127.0.0.1 Port=$((port + 11)) CPUs=64 RealMemory=1000000 Gres=gpu:h100:4
NodeName=gpu2 NodeHostname=$host NodeAddr=127.0.0.1 Port=$((port + 12)) CPUs=64 RealMemory=1000000 Gres=gpu:h100:4
NodeName=gpu3 NodeHostname=$host NodeAddr=127.0.0.1 Port=$((port + 13)) CPUs=64 RealMemory=1000000 Gres=gpu:a100:4
NodeName=gpu4 NodeHostname=$host NodeAddr=127.0.0.1 Port=$((port + 14)) CPUs=64 RealMemory=1000000 Gres=gpu:a100:4
PartitionName=gpu Nodes=gpu[1-4] Default=YES MaxTime=1-00:00:00 State=UP
CONF
# A count without device files is reported as 0 and drains the node.
cat >gres.conf <<CONF
NodeName=gpu[1-2] Name=gpu Type=h100 File=/dev/tty[0-3]
NodeName=gpu[3-4] Name=gpu Type=a100 File=/dev/tty[0-3]
CONF

export SLURM_CONF=$folder/slurm.conf
mkdir -p /etc/slurm
ln -sf "$folder/slurm.conf" "$folder/gres.conf" /etc/slurm/
slurmdbd
for _ in $(seq 40); do
    timeout 5 sacctmgr --noheader --immediate add cluster pretend >/dev/null 2>&1 && break
    sacctmgr --noheader list cluster 2>/dev/null | grep -q pretend && break
    sleep 0.5
done
sacctmgr --immediate --quiet add account lab,study >/dev/null
sacctmgr --immediate --quiet add user "$(id -un)" account=lab,study defaultaccount=lab >/dev/null
slurmctld
for node in gpu1 gpu2 gpu3 gpu4; do
    slurmd -N "$node"
done
for _ in $(seq 120); do
    [ "$(sinfo --noheader --Node --states=idle 2>/dev/null | wc -l)" -eq 4 ] && exit 0
    sleep 0.5
done
echo "error: the nodes are not idle; see $folder/log" >&2
sinfo --Node >&2 || true
exit 1
