#!/usr/bin/env bash
# The first run: fits INRs to real FashionMNIST images, trains a DWS network and an MLP on their weights, and draws
# what came out.  `make quickstart` calls it.  Everything lands in runs/quickstart; a second call resumes.
set -eu
cd "$(dirname "$0")/.."
polyview=${BUILD:-build}/polyview
ranks=${RANKS:-$(nproc)}
config=configs/quickstart.yaml
out=runs/quickstart
mkdir -p "$out"
python=$(scripts/find-python.sh)

# Containers and CI often run as root, which Open MPI wants confirmed.
if [ "$(id -u)" = 0 ]; then export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1; fi
# It also wants to be told that there may be more ranks than cores (4; 5), which other MPIs do not.
export OMPI_MCA_rmaps_base_oversubscribe=1 PRTE_MCA_rmaps_default_mapping_policy=:oversubscribe
parallel() { "${MPIRUN:-mpirun}" -n "$ranks" "$polyview" "$@"; }
field() { "$python" -c 'import json, sys; print(json.loads(sys.stdin.readlines()[-1])[sys.argv[1]])' "$1" <"$2"; }

echo "== 1. fit: every image becomes an INR ($ranks ranks)" >&2
parallel fit --config $config | tee "$out/fit.json"
echo "== 2. train: a DWS network on the INRs' weights, then an MLP on the same weights" >&2
parallel train --config $config | tee "$out/dws.json"
parallel train --config $config --set model.kind=mlp --set model.hidden=128 --set train.lr=1.0e-3 \
    --set train.output=$out/mlp.h5 | tee "$out/mlp.json"
echo "== 3. evaluate and draw" >&2
"$polyview" eval --quiet --model $out/dws.h5 --store $out/store.h5 --split test | tee "$out/eval.json"
"$polyview" render --quiet $out/store.h5 --object 0 -o $out/object0.png
MPLBACKEND=Agg "$python" analysis/polyview-tools plot gallery $out/store.h5 -o $out/gallery.png
MPLBACKEND=Agg "$python" analysis/polyview-tools plot training $out/dws.h5.jsonl $out/mlp.h5.jsonl -o $out/training.png

cat <<EOF

mean PSNR of the INRs      $(printf '%.1f' "$(field mean_psnr_db "$out/fit.json")") dB
test accuracy of the DWS   $(printf '%.3f' "$(field accuracy "$out/eval.json")")
test accuracy of the MLP   $(printf '%.3f' "$(field test_accuracy "$out/mlp.json")")   (chance is 0.100)

The store $out/store.h5 opens in h5py; the network is $out/dws.h5.
Pictures: $out/gallery.png, $out/training.png, $out/object0.png
EOF
