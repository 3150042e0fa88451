"""The runs of the study of augmentations: what each is told, and where it stands in the tables.

Names say what a run is; a run's model is DIRECTORY/NAME-SEED.h5."""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Variant:
    name: str
    meaning: str
    augment: str = ""  # the entries of the config's list
    sets: tuple[str, ...] = ()
    curves: bool = False  # scored on the test split after every epoch
    views: int = 0  # of an object, the first so many; 0: all that the config names

    @property
    def bare(self) -> str:
        """The variant of as many views without augmentation."""
        return COUNTS.get(self.views, "none")


COUNTS = {1: "one_view", 2: "two_views", 3: "three_views", 5: "five_views", 10: "ten_views"}

ALL_VIEWS = [
    Variant("none", "none", curves=True),
    Variant("mixup", "MixUp", "{kind: mixup}"),
    Variant("mixup_aligned", "aligned MixUp", "{kind: mixup_aligned}", curves=True),
    Variant(
        "mixup_aligned_signed", "signed-aligned MixUp", "{kind: mixup_aligned, signs: true}", curves=True
    ),
    Variant("negation", "SIREN negation", "{kind: negation}", curves=True),
    Variant(
        "negation_mixup_signed_half",
        "negation, signed-aligned MixUp of one half",
        "{kind: negation}, {kind: mixup_aligned, signs: true, p: 0.5}",
        curves=True,
    ),
    Variant(
        "negation_mixup_signed",
        "negation, signed-aligned MixUp",
        "{kind: negation}, {kind: mixup_aligned, signs: true}",
    ),
    Variant("canonical_sign", "canonical signs", sets=("train.canonical=sign",)),
    Variant(
        "canonical_mixup_aligned",
        "canonical signs, aligned MixUp",
        "{kind: mixup_aligned}",
        ("train.canonical=sign",),
    ),
    Variant(
        "mixup_reference",
        "signed-aligned MixUp, by one network",
        "{kind: mixup_aligned, signs: true, match: reference}",
    ),
    Variant(
        "mixup_aligned_phases",
        "MixUp aligned with signs and phases",
        "{kind: mixup_aligned, signs: true, phases: true}",
    ),
    Variant("mixup_aligned_view", "aligned MixUp of two views", "{kind: mixup_aligned, partner: view}"),
    Variant("mixup_perm", "MixUp after a random permutation", "{kind: mixup_perm}"),
    Variant("weights_only", "MixUp, label of the larger share", "{kind: weights_only}"),
    Variant("self_aligned", "aligned MixUp with an augmented copy of itself", "{kind: self_aligned}"),
    Variant("combine", "translate, noise, negation, aligned MixUp", "{kind: combine}"),
    Variant("negation_noise", "negation, noise", "{kind: negation}, {kind: noise}"),
    Variant("permute", "permutation", "{kind: permute}"),
    Variant("phase", "SIREN phase", "{kind: phase}"),
    Variant("translate", "translate", "{kind: translate}"),
    Variant("translate_deep", "translate, deeper layers", "{kind: translate_deep}"),
    Variant("rotate", "rotate", "{kind: rotate}"),
    Variant("scale", "scale", "{kind: scale}"),
    Variant("noise", "Gaussian noise", "{kind: noise}"),
    Variant("dropout", "dropout of weights", "{kind: dropout}"),
    Variant("quantile_dropout", "quantile dropout", "{kind: quantile_dropout}"),
    Variant("label_smoothing", "label smoothing", "{kind: label_smoothing}"),
    Variant("canonical_phase", "canonical phases", sets=("train.canonical=phase",)),
    Variant("canonical_both", "canonical signs and phases", sets=("train.canonical=both",)),
]


def of_views(views: int, variant: Variant) -> Variant:
    """The same of an object's first views."""
    name = COUNTS[views] if variant.name == "none" else f"{COUNTS[views]}_{variant.name}"
    return replace(
        variant, name=name, meaning=f"{variant.meaning}, {COUNTS[views].replace('_', ' ')}", views=views
    )


# Those that matter most come first, with one view an object and with all: a study that is cut short has them.
MAIN = ALL_VIEWS[:11]
AUGMENTATIONS = [
    *(of_views(1, variant) for variant in MAIN),
    Variant(
        "one_view_partners_all",
        "aligned MixUp, one view, partners of all views",
        "{kind: mixup_aligned, partner_views: all}",
        views=1,
    ),
    *ALL_VIEWS,
]

# What further views of an object give, with and without augmentation.
BESIDE_VIEWS = [
    "none",
    "mixup",
    "mixup_aligned",
    "mixup_aligned_signed",
    "negation",
    "canonical_sign",
    "canonical_mixup_aligned",
]
VIEWS = [of_views(views, variant) for variant in MAIN if variant.name in BESIDE_VIEWS for views in COUNTS]

MLP = (
    "model.kind=mlp",
    "model.hidden=256",
    "model.batch_norm=true",
    "model.dropout=0.2",
    "train.lr=1e-3",
)
PROBE = ("model.kind=probe", "model.hidden=256", "train.normalise=none", "train.lr=1e-3")
SCALEGMN = ("model.kind=scalegmn", "model.hidden=32", "train.normalise=scale", "train.lr=2e-3")
GNN = ("model.kind=gnn", "model.d_node=32", "model.d_edge=16", "model.d_node_hid=64", "train.lr=1e-3")
TOKENS = ("model.kind=tokens", "model.hidden=64", "train.lr=1e-3")
MATCHED = ("train.align=fixed", "train.normalise=tensor")
PHASOR, SIGN = ("model.features=phasor",), ("train.canonical=sign",)
SIGNED_HALF = "{kind: mixup_aligned, signs: true, p: 0.5}"

MODELS = [
    replace(model, views=1)
    for model in (
        Variant("mlp", "MLP 256 x 2, weights as they are", sets=MLP),
        Variant("mlp_fixed", "MLP, matched by order and signs", sets=(*MLP, "train.align=fixed")),
        Variant(
            "mlp_phases",
            "MLP, matched by order, signs and phases",
            sets=(*MLP, "train.align=fixed", "train.align_phases=true"),
        ),
        Variant(
            "mlp_mixup",
            "MLP, matched by order and signs, MixUp",
            "{kind: mixup}",
            (*MLP, "train.align=fixed"),
        ),
        Variant("dws_phasor", "DWS 16 x 2 of phasors", sets=PHASOR),
        Variant("dws_phasor_sign", "DWS 16 x 2 of phasors, canonical signs", sets=(*PHASOR, *SIGN)),
        Variant(
            "dws_phasor_both",
            "DWS 16 x 2 of phasors, canonical signs and phases",
            sets=(*PHASOR, "train.canonical=both"),
        ),
        Variant(
            "dws_phasor_sign_mixup",
            "DWS 16 x 2 of phasors, canonical signs, aligned MixUp",
            "{kind: mixup_aligned}",
            (*PHASOR, *SIGN),
        ),
        Variant("dws_fixed", "DWS 16 x 2, matched by order and signs", sets=MATCHED),
        Variant("gnn", "relational transformer 32, 16 x 2", sets=GNN),
        Variant("tokens", "transformer over units 64 x 2", sets=TOKENS),
        Variant("probe", "64 learned points, perceptron 256 x 2", sets=PROBE),
        Variant("scalegmn", "ScaleGMN 32 x 2, forward", sets=SCALEGMN),
        Variant("scalegmn_mixup", "ScaleGMN 32 x 2, signed-aligned MixUp of one half", SIGNED_HALF, SCALEGMN),
        Variant(
            "scalegmn_both", "ScaleGMN 32 x 2, both directions", sets=(*SCALEGMN, "model.direction=both")
        ),
    )
]

# Networks that need as many images as the paper has, or trainings as long as those allow.
WIDE_SCALEGMN = (*SCALEGMN, "model.hidden=64", "train.lr=1.5e-3", "train.batch=128", "train.epochs=40")
LARGE = [
    replace(model, views=1)
    for model in (
        Variant("dws_sab", "DWS 16 x 2 of `sab`", sets=("model.set_layer=sab", "train.lr=2e-3")),
        Variant(
            "dws_wide_canonical_mixup_aligned",
            "DWS 32 x 2, batches of 64, 60 epochs, canonical signs, aligned MixUp",
            "{kind: mixup_aligned}",
            ("model.hidden=32", "train.batch=64", "train.epochs=60", *SIGN),
        ),
        Variant(
            "scalegmn_wide_mixup",
            "ScaleGMN 64 x 2, 40 epochs, signed-aligned MixUp of one half",
            SIGNED_HALF,
            WIDE_SCALEGMN,
        ),
    )
]

# What is trained unless something else is asked for: rows of some views want a store that has so many.
STUDY = [*AUGMENTATIONS, *MODELS]
VARIANTS = list(dict.fromkeys([*STUDY, *VIEWS, *LARGE]))
NAMED = {variant.name: variant for variant in VARIANTS}
