# shellcheck shell=bash
# What the scaling studies share: they run fit and train on 1, 2, 4, ... ranks of one allocation, and have the run records drawn.

# The powers of two up to the ranks there are, and these.
rank_counts() {
    local ranks=1
    while [ "$ranks" -lt "${SLURM_NTASKS:-1}" ]; do
        echo "$ranks"
        ranks=$((ranks * 2))
    done
    echo "${SLURM_NTASKS:-1}"
}

# study KIND CONFIG DIRECTORY RANKS WORDS...: fit and train on so many ranks; keeps their records, not their files.
study() {
    local kind=$1 config=$2 out=$3 ranks=$4 point
    shift 4
    point=$out/$kind-$ranks
    say "$kind scaling, $ranks ranks"
    rm -rf "$point" && mkdir -p "$point" || return 1
    launch "$ranks" fit --config "$config" --store "$point/store.h5" "$@" --set storage.sync=false || return 1
    launch "$ranks" train --config "$config" --store "$point/store.h5" --fresh --set train.output="$point/model.h5" "$@" ||
        return 1
    rm -rf "$point/store.h5" "$point/store.h5.shards" "$point/model.h5" "$point/model.h5.ckpt"
}

# What the model of the machine says of the same runs, from figures measured on this allocation.
predict() { # KIND CONFIG DIRECTORY RANKS WORDS...
    local kind=$1 config=$2 out=$3 ranks=$4 a_node=${SLURM_NTASKS_PER_NODE:-${SLURM_NTASKS:-1}}
    shift 4
    local nodes=$(((ranks + a_node - 1) / a_node))
    launch "${SLURM_NTASKS:-1}" plan --config "$config" --nodes "$nodes" --ranks-per-node $((ranks / nodes)) \
        --dir "$out" "$@" >"$out/$kind-$ranks/plan.json"
}
