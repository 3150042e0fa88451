"""Copies chosen cases of the full golden vectors into tests/oracle/data: subset.py FULL_DIRECTORY."""

import sys
from pathlib import Path

import h5py

CASES = {
    "siren.h5": ["case000", "case003", "case005"],
    "dws_layer.h5": ["case007", "case010", "case012", "case016"],
    "dws_model.h5": ["case005"],
    "relational_transformer.h5": ["case007"],
    "alignment.h5": [f"case{i:03d}" for i in (2, 9, 14, 18, 21, 24, 27, 41, 51)],
    "augment.h5": [f"case{i:03d}" for i in (26, 27, 30, 33, 34, 36, 38, 40, 42)],
    "contrastive.h5": ["case000", "case001", "case002", "case003", "case004"],
}


def main() -> None:
    full, here = Path(sys.argv[1]), Path(__file__).parent / "data"
    here.mkdir(exist_ok=True)
    for name, cases in CASES.items():
        with h5py.File(full / name) as source, h5py.File(here / name, "w") as target:
            target.attrs.update({key: source.attrs[key] for key in ("kind", "about")})
            target.attrs["n_cases"] = len(cases)
            for case in cases:
                source.copy(case, target)


if __name__ == "__main__":
    main()
