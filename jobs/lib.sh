# shellcheck shell=bash
# What the job files share: start ranks, save state before a limit, requeue, give up when nothing moves.
#
# The rules.  `#SBATCH --signal=B:USR1@120` makes Slurm send SIGUSR1 to the batch shell two minutes before the time limit (and,
# where the site has preempt_send_user_signal, before preemption); it is passed on to the ranks, which save everything and end
# with status 75.  A site without that setting sends SIGTERM to the ranks, which end the same way.  75 means "start me again":
# the job is requeued and continues where it stopped.  Ranks that are killed (a node or a launch failed) are retried likewise;
# status 1, 2 and 3 are errors that a retry would only repeat, but for the lock that a dead node leaves for two minutes; so are
# crashes (a fault of the program, or of memory).

set -u
POLYVIEW_HOME=${POLYVIEW_HOME:-${SLURM_SUBMIT_DIR:-$PWD}}
site=${POLYVIEW_SITE:-$POLYVIEW_HOME/jobs/site.env}
if [ ! -r "$site" ]; then
    echo "jobs: no $site: submit from Polyview's top directory, or export POLYVIEW_HOME" >&2
    exit 2
fi
# shellcheck source=jobs/site.env
. "$site"
export OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1
step=""        # the process of srun or mpirun
stop_wanted=0

say() { echo "[$(date '+%F %T')] $*"; }

announce() {
    say "== ${SLURM_JOB_NAME:-job} ${SLURM_JOB_ID:-}, start $((${SLURM_RESTART_COUNT:-0} + 1))," \
        "${SLURM_NTASKS:-1} ranks on ${SLURM_JOB_NUM_NODES:-1} node(s) ${SLURM_JOB_NODELIST:-$(hostname)}," \
        "by $LAUNCH: $*"
}

note_stop() {
    [ "$stop_wanted" = 1 ] || say "the time limit or a preemption is near: the ranks are to save their state"
    stop_wanted=1
}
trap note_stop USR1

# Tells the ranks.  srun itself must not get a SIGTERM: it would have its tasks killed.  mpirun passes SIGUSR1 on.
pass_stop_on() {
    if [ "$LAUNCH" = srun ]; then
        scancel --signal=USR1 "$SLURM_JOB_ID"
    else
        kill -USR1 "$step"
    fi 2>/dev/null
}

# Ends an mpirun that waits for ranks that are gone: it can, when all of them are killed while they start.
watch_mpirun() { # PROCESS
    local idle=0
    while sleep "${WATCH_S:-10}" >/dev/null 2>&1 && kill -0 "$1" 2>/dev/null; do
        if [ -n "$(ps -o stat= --ppid "$1" | sed '/^Z/d')" ]; then idle=0; else idle=$((idle + 1)); fi
        [ "$idle" -lt 6 ] || { say "mpirun is left without ranks and does not end: killing it"; kill -KILL "$1"; }
    done
}

# Removes what Open MPI left in /dev/shm for killed ranks, on every node: files of this user that no process has mapped.
clear_shm() {
    find /dev/shm -maxdepth 1 -type f -user "$(id -u)" -mmin +1 \( -name 'osc_sm.*' -o -name 'vader_segment.*' -o \
        -name 'sem.OMPIO_*' \) 2>/dev/null |
        while read -r file; do grep -qsF "$file" /proc/[0-9]*/maps || rm -f "$file"; done
}
clear_shm_of_nodes() {
    [ "${SLURM_RESTART_COUNT:-0}" = 0 ] ||
        srun --mpi=none --nodes="${SLURM_JOB_NUM_NODES:-1}" --ntasks="${SLURM_JOB_NUM_NODES:-1}" --ntasks-per-node=1 \
            bash -c "$(declare -f clear_shm); clear_shm" || true
}

# launch RANKS WORDS...: runs `polyview WORDS` on so many ranks of the allocation, packed on as few nodes as they need.
launch() {
    local ranks=$1 a_node=${SLURM_NTASKS_PER_NODE:-${SLURM_NTASKS:-1}} rc now caller watcher=""
    shift
    if [ "$LAUNCH" = srun ]; then
        srun "${SRUN_OPTIONS[@]}" --nodes=$(((ranks + a_node - 1) / a_node)) --ntasks="$ranks" \
            --ntasks-per-node="$((ranks < a_node ? ranks : a_node))" "$POLYVIEW" "$@" &
    else
        mpirun "${MPIRUN_OPTIONS[@]}" -n "$ranks" "$POLYVIEW" "$@" &
    fi
    step=$!
    if [ "$LAUNCH" = mpirun ]; then
        watch_mpirun "$step" &
        watcher=$!
    fi
    # In the background, because bash runs no trap while it waits for a foreground child; a trap cuts `wait` short.
    wait "$step"
    rc=$?
    if [ "$stop_wanted" = 1 ] && [ "$rc" -gt 128 ]; then
        # Again and again: ranks that are only starting do not hear the first call.
        { pass_stop_on; while sleep 5; do pass_stop_on; done; } &
        caller=$!
        wait "$step"
        now=$?
        while kill -0 "$step" 2>/dev/null; do
            wait "$step"
            now=$?
        done
        kill "$caller" 2>/dev/null
        [ "$now" = 127 ] || rc=$now # 127: it had ended before
    fi
    [ -z "$watcher" ] || kill "$watcher" 2>/dev/null
    step=""
    return "$rc"
}

# Waits for the lock of a run whose node died, which cannot give it back: after 120 s of silence it is nobody's.  They are
# counted here, as the clocks of this node and of the file system may differ.  False if there is none, or its run lives.
outlast_lock() { # OUTPUT
    local lock=$1.lock seen now start=$SECONDS
    seen=$(stat -c %Y "$lock" 2>/dev/null) || return 1
    say "$lock is held by a run that may be dead: waiting until it is silent for 120 s"
    while [ $((SECONDS - start)) -le "${LOCK_LIMIT_S:-120}" ]; do
        [ "$stop_wanted" = 0 ] || return 0
        sleep 5
        now=$(stat -c %Y "$lock" 2>/dev/null) || return 0
        [ "$now" = "$seen" ] || return 1
    done
}

# Where the site's Slurm measures energy: what the run that has just been recorded took, in joules, to OUTPUT.energy.jsonl.  The
# record itself cannot hold it, because Slurm adds it up only when the ranks are gone.
note_energy() { # OUTPUT
    local tries step joules=""
    scontrol show config 2>/dev/null | grep -q '^AcctGatherEnergyType *= *acct_gather_energy/[^n]' || return 0
    step=$(sed -n '$s/.*"step_id": "\([0-9]*\)".*/\1/p' "$1.runs.jsonl" 2>/dev/null)
    [ -n "$step" ] || return 0
    for tries in 1 2 3; do # the account may be a little late
        joules=$(sacct --jobs="$SLURM_JOB_ID.$step" --noheader --parsable2 --format=ConsumedEnergyRaw 2>/dev/null |
            grep -x '[1-9][0-9]*')
        if [ -n "$joules" ] || [ "$tries" = 3 ]; then break; fi
        sleep 1
    done
    [ -z "$joules" ] || printf '{"job_id": "%s", "restart_count": "%s", "step_id": "%s", "energy_j": %s}\n' \
        "$SLURM_JOB_ID" "${SLURM_RESTART_COUNT:-0}" "$step" "$joules" >>"$1.energy.jsonl"
}

# What changes when work gets done: the fitted rows of a store, the checkpoint of a model.
fingerprint() { # KIND OUTPUT
    if [ "$1" = model ]; then
        cksum <"$2.ckpt" 2>/dev/null || echo none
    elif [ -e "$2" ]; then
        launch 1 info "$2" --json 2>/dev/null | sed -n 's/.*"fitted": \([0-9]*\).*/fitted \1/p'
    else
        echo none
    fi
}

# Counts the starts of this job that found everything as the start before had left it.
check_progress() { # KIND OUTPUT
    local note=$2.restarts job="" fruitless=0 before="" now
    now=$(fingerprint "$1" "$2")
    if [ -r "$note" ]; then IFS='|' read -r job fruitless before <"$note"; fi
    if [ "$job" != "${SLURM_JOB_ID:-}" ]; then
        fruitless=0
    elif [ "$now" = "$before" ]; then
        fruitless=$((fruitless + 1))
    else
        fruitless=0
    fi
    if [ "$fruitless" -ge "$MAX_FRUITLESS" ]; then
        say "giving up: $fruitless starts in a row changed nothing of $2; see what ended them above"
        rm -f "$note"
        return 1
    fi
    [ "$fruitless" = 0 ] || say "the start before changed nothing; $((MAX_FRUITLESS - fruitless)) more such starts and I give up"
    echo "${SLURM_JOB_ID:-}|$fruitless|$now" >"$note"
}

requeue() {
    [ -n "${SLURM_JOB_ID:-}" ] || return 0
    say "requeueing job $SLURM_JOB_ID"
    if scontrol requeue "$SLURM_JOB_ID"; then
        sleep 300 # Slurm ends this script meanwhile
    fi
    say "Slurm did not requeue the job: submit it again, it continues where it stopped"
}

# resumable KIND OUTPUT WORDS...: `polyview WORDS`, which makes the store or model OUTPUT, to its end over any number of starts.
resumable() {
    local kind=$1 output=$2 rc
    shift 2
    announce "polyview $*"
    check_progress "$kind" "$output" || return 1
    if [ "$stop_wanted" = 1 ]; then requeue; fi
    clear_shm_of_nodes
    launch "${SLURM_NTASKS:-1}" "$@"
    rc=$?
    if { [ "$rc" = 1 ] || [ "$rc" = 75 ]; } && [ "$stop_wanted" = 0 ] && outlast_lock "$output"; then
        launch "${SLURM_NTASKS:-1}" "$@"
        rc=$?
    fi
    if [ "$rc" = 0 ] || [ "$rc" = 75 ]; then note_energy "$output"; fi
    case $rc in
        0)
            say "done"
            rm -f "$output.restarts"
            ;;
        75)
            say "stopped early, everything is saved"
            requeue
            ;;
        1 | 2 | 3) say "failed with status $rc; the reason is the line that begins with 'polyview: error'" ;;
        126 | 127) say "$POLYVIEW cannot be run (status $rc): see POLYVIEW and the modules in $site" ;;
        132 | 134 | 135 | 136 | 139)
            say "a rank crashed (status $rc, signal $((rc - 128))): a fault of the program or of a node's memory; a retry would repeat" \
                "it, so nothing is requeued.  Fitted rows and checkpoints are kept: submit again to go on, and please report the log"
            ;;
        *)
            say "the ranks died or did not start (status $rc)"
            requeue
            ;;
    esac
    return "$rc"
}

# usage_of FILE: prints the head comment of a job file and ends.
usage_of() {
    sed -n '/^# usage:/,/^$/s/^# \{0,1\}//p' "$1" >&2
    exit 2
}
