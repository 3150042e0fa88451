"""Runs every fuzz target for a time, or for a number of inputs, and says what it found.

Seeds are made by make_corpus.py; what libFuzzer learns stays in $BUILD/fuzz/TARGET, what breaks a target in
$BUILD/fuzz/found.  Inputs that once broke a target are kept in tests/fuzz/kept/TARGET and run first.  Every run adds a line
to $BUILD/fuzz/runs.jsonl."""

import argparse
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from run import BUILD, environment  # noqa: E402

MAX_BYTES = {"fuzz_idx": 512, "fuzz_config": 256, "fuzz_image": 1024}
# Hangs are told after minutes, as a machine may stop what is not urgent.  Small quarantines, short stacks: three times the executions.
ASAN = (
    "detect_leaks=0:allocator_may_return_null=1:quarantine_size_mb=1:thread_local_quarantine_size_kb=64:"
    "malloc_context_size=1:max_malloc_fill_size=0"
)
LIMITS = ["-timeout=300", "-rss_limit_mb=2500", "-print_final_stats=1", "-close_fd_mask=1", "-reload=60"]


def command(target: str, seconds: int, runs: int) -> list[str]:
    work = BUILD / "fuzz"
    corpus, seeds, kept = work / target, work / f"{target}.seeds", HERE / "kept" / target
    for directory in (corpus, work / "found"):
        directory.mkdir(parents=True, exist_ok=True)
    subprocess.run([sys.executable, str(HERE / "make_corpus.py"), target, str(seeds)], check=True)
    words = [str(BUILD / "tests" / "fuzz" / target), *LIMITS, f"-max_len={MAX_BYTES.get(target, 512)}"]
    words += [f"-max_total_time={seconds}"] if seconds else []
    words += [f"-runs={runs}"] if runs else []
    words += [f"-artifact_prefix={work / 'found'}/{target}-"]
    dictionary = seeds.with_name(seeds.name + ".dict")
    words += [f"-dict={dictionary}"] if dictionary.exists() else []
    return words + [str(corpus), str(seeds)] + ([str(kept)] if kept.is_dir() else [])


def fuzz(target: str, seconds: int, runs: int, jobs: int) -> tuple[int, bool]:
    """(executions, whether every process ended well)"""
    # HDF5, MPI and libyaml are not instrumented, and MPI is never finalised: leaks are valgrind's and the tests' business.
    # Open MPI must not take the signals by which libFuzzer notes what broke a target.
    variables = environment() | {"ASAN_OPTIONS": ASAN, "OMPI_MCA_opal_signal": ""}
    if os.access("/dev/shm", os.W_OK):
        variables["TMPDIR"] = "/dev/shm"
    started, words = time.time(), command(target, seconds, runs // jobs)
    logs = [BUILD / "fuzz" / f"{target}-{job}.log" for job in range(jobs)]
    processes = []
    for log in logs:
        with log.open("wb") as file:
            processes.append(
                subprocess.Popen(words, stderr=file, stdout=file, stdin=subprocess.DEVNULL, env=variables)
            )
    ended = [process.wait() for process in processes]
    texts = [log.read_text(errors="replace") for log in logs]
    count = sum(int(n) for text in texts for n in re.findall(r"number_of_executed_units: (\d+)", text))
    line = {"target": target, "executions": count, "seconds": round(time.time() - started), "statuses": ended}
    with (BUILD / "fuzz" / "runs.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")
    for text, status in zip(texts, ended):
        if status != 0:
            print("\n".join(text.splitlines()[-60:]))
    return count, not any(ended)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=60, help="for each target, at least 1")
    parser.add_argument("--runs", type=int, default=0, help="inputs for each target, however long that takes")
    parser.add_argument("--jobs", type=int, default=1, help="processes of one target at a time")
    parser.add_argument("targets", nargs="*", help="parts of names; all by default")
    args = parser.parse_args()
    sound = True
    for source in sorted(HERE.glob("fuzz_*.c")):
        if args.targets and not any(part in source.stem for part in args.targets):
            continue
        count, good = fuzz(source.stem, 0 if args.runs else max(1, args.seconds), args.runs, args.jobs)
        sound = sound and good
        print(f"{source.stem}: {count} executions, {'nothing' if good else 'SOMETHING'} found", flush=True)
    return 0 if sound else 1


if __name__ == "__main__":
    os.chdir(HERE.parent.parent)
    sys.exit(main())
