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

    @property
    def one_view(self) -> bool:
        return ONE_VIEW[0] in self.sets


ONE_VIEW = ("train.views=1",)

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


def of_one_view(variant: Variant) -> Variant:
    name = "one_view" if variant.name == "none" else f"one_view_{variant.name}"
    meaning = f"{variant.meaning}, one view"
    return replace(variant, name=name, meaning=meaning, sets=(*ONE_VIEW, *variant.sets))


# Those that matter most come first, with one view an object and with all: a study that is cut short has them.
MAIN = ALL_VIEWS[:10]
AUGMENTATIONS = [
    *map(of_one_view, MAIN),
    Variant(
        "one_view_partners_all",
        "aligned MixUp, one view, partners of all views",
        "{kind: mixup_aligned, partner_views: all}",
        ONE_VIEW,
    ),
    *ALL_VIEWS,
]

FEWER_VIEWS = [
    Variant("two_views", "none, two views", sets=("train.views=2",)),
    Variant("three_views", "none, three views", sets=("train.views=3",)),
    Variant("five_views", "none, five views", sets=("train.views=5",)),
]

MLP = (
    "model.kind=mlp",
    "model.hidden=256",
    "model.batch_norm=true",
    "model.dropout=0.2",
    "train.lr=1e-3",
    *ONE_VIEW,
)
PROBE = ("model.kind=probe", "model.hidden=256", "train.normalise=none", "train.lr=1e-3", *ONE_VIEW)
SCALEGMN = ("model.kind=scalegmn", "model.hidden=32", "train.normalise=scale", "train.lr=1e-3", *ONE_VIEW)
MATCHED = ("train.align=fixed", "train.normalise=tensor")
SIGNED_HALF = "{kind: mixup_aligned, signs: true, p: 0.5}"

MODELS = [
    Variant("mlp", "MLP 256 x 2, weights as they are", sets=MLP),
    Variant("mlp_fixed", "MLP, matched by order and signs", sets=(*MLP, "train.align=fixed")),
    Variant(
        "mlp_phases",
        "MLP, matched by order, signs and phases",
        sets=(*MLP, "train.align=fixed", "train.align_phases=true"),
    ),
    Variant(
        "mlp_mixup", "MLP, matched by order and signs, MixUp", "{kind: mixup}", (*MLP, "train.align=fixed")
    ),
    Variant("dws_fixed", "DWS 16 x 2, matched by order and signs", sets=(*ONE_VIEW, *MATCHED)),
    Variant("probe", "64 learned points, perceptron 256 x 2", sets=PROBE),
    Variant("scalegmn", "ScaleGMN 32 x 2, forward", sets=SCALEGMN),
    Variant("scalegmn_mixup", "ScaleGMN 32 x 2, signed-aligned MixUp of one half", SIGNED_HALF, SCALEGMN),
    Variant("scalegmn_both", "ScaleGMN 32 x 2, both directions", sets=(*SCALEGMN, "model.direction=both")),
]

VARIANTS = [*AUGMENTATIONS, *FEWER_VIEWS, *MODELS]
NAMED = {variant.name: variant for variant in VARIANTS}
