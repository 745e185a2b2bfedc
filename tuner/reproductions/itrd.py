"""The experiments of ITRD's supplement (arXiv:2112.00459; BMVC 2022)."""

from tuner.reports.comparison import Accuracy
from tuner.reports.document import Figure, Table
from tuner.reports.formatting import accuracy_text
from tuner.reproductions import costs, figures, probes, tables, words
from tuner.reproductions.experiment import Arm, Artefact, Experiment, Pair
from tuner.reproductions.published import published
from tuner.reproductions.results import Results
from tuner.reproductions.tables import arms_table

RESNET_TO_MOBILENET = (Pair("ResNet50", "MobileNetV2"),)
# The supplement's kernel; alpha and the weights are assumptions, see published.yaml.
BASE = {"alpha": 1.5, "degree": 2, "beta_corr": 2.0, "beta_mi": 1.0}
ALPHAS = (1.01, 1.5, 2.0, 3.0, 4.0, 5.0, 10.0)
BETA_CORR = (0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0)
BETA_MI = (0.0, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0)
DEGREE = "The kernel is the supplement's polynomial of degree 2; the official code has degree 1."
README_SETTING = "ITRD has the setting of its README: alpha 1.01, beta_corr 2.0, beta_mi 1.0."


def _log(results: Results) -> Artefact:
    labels = [arm.label for arm in results.arms]
    known = {
        arm.label: published("itrd-log").value(log2=arm.values["log2"]) for arm in results.arms
    }
    return Artefact(
        [
            *words.best_of_many(results, labels, labels[0]),
            words.beside_published(results, known),
        ],
        [
            arms_table(
                results,
                name="log2",
                title="Table 1: the logarithm in the mutual information loss",
                heading="loss",
                published=lambda arm: known[arm.label],
                base=labels[0],
            )
        ],
    )


def _kernel(results: Results) -> Artefact:
    labels = [arm.label for arm in results.arms]
    known = {
        arm.label: published("itrd-kernel").value(
            **({"h": arm.values["h"]} if "h" in arm.values else {"kernel": "polynomial"})
        )
        for arm in results.arms
    }
    return Artefact(
        [
            *words.best_of_many(results, labels, labels[0]),
            words.beside_published(results, known),
        ],
        [
            arms_table(
                results,
                name="kernels",
                title="Table 2: kernels of the mutual information loss",
                heading="kernel",
                published=lambda arm: known[arm.label],
                base=labels[0],
            )
        ],
    )


def _alpha(results: Results) -> Artefact:
    labels = [arm.label for arm in results.arms]
    by_alpha = {float(arm.values["alpha"]): arm.label for arm in results.arms}
    known = {alpha: published("itrd-alpha").value(alpha=alpha) for alpha in by_alpha}
    drawing = figures.sweep(
        {"α": {alpha: results.accuracy(label) for alpha, label in by_alpha.items()}},
        published=known,
        log=True,
    )
    small = [label for alpha, label in by_alpha.items() if alpha <= 4]
    return Artefact(
        [
            *words.best_of_many(results, labels, "α = 2"),
            words.spread(results, small, "α up to 4"),
            words.beside_published(
                results, {label: known[alpha] for alpha, label in by_alpha.items()}
            ),
        ],
        [
            arms_table(
                results,
                name="alpha",
                title="Table 4: the order α of the correlation loss",
                heading="α",
                published=lambda arm: known[float(arm.values["alpha"])],
                base="α = 2" if "α = 2" in labels else None,
            ),
            Figure(
                "alpha",
                "Accuracy against α",
                "Mean and deviation over the seeds; published values on the right axis.",
                drawing,
            ),
        ],
    )


def _beta(results: Results) -> Artefact:
    panels: dict[str, dict[float, Accuracy | None]] = {}
    findings = []
    for name, values, shown in (("beta_corr", BETA_CORR, "β_corr"), ("beta_mi", BETA_MI, "β_mi")):
        labels = {value: _beta_label(name, value) for value in values}
        panels[shown] = {value: results.accuracy(label) for value, label in labels.items()}
        findings += words.best_of_many(
            results, list(labels.values()), _beta_label(name, BASE[name])
        )
        if name == "beta_corr":
            claimed = [labels[value] for value in values if 1.5 <= value <= 2.5]
            findings.append(words.spread(results, claimed, "β_corr from 1.5 to 2.5"))
        else:
            findings.append(words.spread(results, list(labels.values()), "all values of β_mi"))
    findings.append(
        "The paper: over β_mi accuracy varies within 0.5 %, and by a similar amount for β_corr"
        " from 1.5 to 2.5."
    )
    drawing = figures.sweep(panels, base={"β_corr": BASE["beta_corr"], "β_mi": BASE["beta_mi"]})
    return Artefact(
        list(dict.fromkeys(findings)),
        [
            Figure(
                "beta",
                "Figure 1: accuracy against the weights of the two losses",
                "Left: β_mi is 1. Right: β_corr is 2. Mean and deviation over the seeds; dotted:"
                " the value that the other panel has.",
                drawing,
            ),
            arms_table(
                results,
                name="beta",
                title="The values of Figure 1",
                heading="weights",
                published=lambda arm: None,
                base=BETA_BASE,
            ),
        ],
    )


def _beta_label(name: str, value: float) -> str:
    corr, mi = (value, BASE["beta_mi"]) if name == "beta_corr" else (BASE["beta_corr"], value)
    return f"β_corr = {corr:g}, β_mi = {mi:g}"


BETA_BASE = _beta_label("beta_corr", BASE["beta_corr"])


def _beta_arms() -> tuple[Arm, ...]:
    sweeps = [("beta_corr", value) for value in BETA_CORR] + [("beta_mi", v) for v in BETA_MI]
    # The setting where the two sweeps cross is one arm.
    arms = {
        _beta_label(*one): Arm(_beta_label(*one), "itrd", {**BASE, one[0]: one[1]})
        for one in sweeps
    }
    return tuple(arms.values())


def _convergence(results: Results) -> Artefact:
    curves = {
        arm.label: [
            [epoch["val_accuracy"] for epoch in trial.epochs] for trial in results.trials(arm.label)
        ]
        for arm in results.arms
    }
    workload = results.reproduction.tasks[0].workload
    rows, data = [], []
    for label, runs in curves.items():
        reached = [_epochs_to_reach(run) for run in runs]
        mean = sum(reached) / len(reached) if reached else None
        final = results.accuracy(label, metric="val_accuracy")
        rows.append(
            [label, accuracy_text(final), "–" if mean is None else f"{mean:.1f}", str(len(runs))]
        )
        data.append(
            {
                "method": label,
                "final_val_accuracy_mean": final and final.mean,
                "final_val_accuracy_std": final and final.std,
                "epochs_to_final_minus_half": mean,
                "num_seeds": len(runs),
            }
        )
    return Artefact(
        [
            *words.best_of_many(results, list(curves), "itrd"),
            _fastest(curves),
            "The paper: ITRD gains faster than CRD and KD after each drop of the learning rate,"
            " and ends higher.",
        ],
        [
            Figure(
                "convergence",
                "Figure 2: validation accuracy against epochs",
                "Lines are means over n seeds, bands reach from the worst seed to the best; dotted:"
                " drops of the learning rate. Below: the parts after each drop.",
                figures.convergence(curves, workload.lr_decay_epochs),
            ),
            Table(
                "convergence",
                "How soon each method is within 0.5 points of its last epoch",
                ("method", "last epoch (%)", "epochs", "seeds"),
                rows,
                tables.table_of(data),
                note="Validation accuracy; the first epoch from which on it stays within 0.5"
                " points of the last epoch's, or above, on average over the seeds.",
            ),
        ],
    )


def _epochs_to_reach(curve: list[float]) -> int:
    """The first epoch (from 1) from which on a curve stays above its end minus half a point."""
    below = [number for number, value in enumerate(curve, 1) if value < curve[-1] - 0.5]
    return below[-1] + 1 if below else 1


def _fastest(curves: dict[str, list[list[float]]]) -> str:
    reached = {
        label: sum(map(_epochs_to_reach, runs)) / len(runs)
        for label, runs in curves.items()
        if runs
    }
    if not reached:
        return ""
    told = ", ".join(f"{label} after {epochs:.1f}" for label, epochs in reached.items())
    return f"Within 0.5 points of their last epoch for good: {told} epochs on average."


TRANSFERRED = (
    Arm("plain", "plain"),
    Arm("kd", "kd"),
    Arm("at", "at"),
    Arm("fitnet", "fitnet"),
    Arm("crd", "crd"),
    Arm("crd+kd", "crd", {"kd_weight": 1.0}),
    Arm("itrd", "itrd"),
)

EXPERIMENTS = (
    Experiment(
        name="itrd-log",
        title="ITRD, Table 1: with and without log2 in the mutual information loss",
        pairs=RESNET_TO_MOBILENET,
        arms=(
            Arm("without log2", "itrd", {**BASE, "log2": False}),
            Arm("with log2", "itrd", {**BASE, "log2": True}),
        ),
        seeds=5,
        artefact=_log,
        assumed=(DEGREE,),
    ),
    Experiment(
        name="itrd-kernel",
        title="ITRD, Table 2: kernels of the mutual information loss",
        pairs=RESNET_TO_MOBILENET,
        arms=(
            Arm("polynomial", "itrd", {**BASE, "kernel": "polynomial", "log2": False}),
            *(
                Arm(
                    f"RBF, h = {h:g}",
                    "itrd",
                    {k: v for k, v in BASE.items() if k != "degree"} | {"kernel": "rbf", "h": h},
                )
                for h in (1.0, 5.0)
            ),
        ),
        seeds=5,
        artefact=_kernel,
        assumed=(DEGREE,),
    ),
    Experiment(
        name="itrd-transfer",
        title="ITRD, Table 3: frozen students, a new linear classifier on other data",
        pairs=(Pair("wrn_40_2", "wrn_16_2"),),
        arms=TRANSFERRED,
        artefact=probes.transfer,
        needs_weights=True,
        options=("probe_data",),
        assumed=(
            README_SETTING,
            "CRD+KD is CRD with KD's term at weight 1, as in the CRD framework.",
        ),
    ),
    Experiment(
        name="itrd-alpha",
        title="ITRD, Table 4: the order α of the correlation loss",
        pairs=RESNET_TO_MOBILENET,
        arms=tuple(Arm(f"α = {alpha:g}", "itrd", {**BASE, "alpha": alpha}) for alpha in ALPHAS),
        seeds=5,
        artefact=_alpha,
        assumed=(DEGREE,),
    ),
    Experiment(
        name="itrd-beta",
        title="ITRD, Figure 1: accuracy against β_corr and β_mi",
        pairs=RESNET_TO_MOBILENET,
        arms=_beta_arms(),
        artefact=_beta,
        assumed=(DEGREE, "Alpha is 1.5, the default of the official script."),
    ),
    Experiment(
        name="itrd-cost",
        title="ITRD, Table 5: memory and training time relative to ITRD",
        pairs=(Pair("torchvision:resnet34", "torchvision:resnet18"),),
        data="imagenet",
        artefact=costs.itrd_cost,
        options=("methods", "memory_cap"),
        needs_teacher_accuracy=False,
    ),
    Experiment(
        name="itrd-convergence",
        title="ITRD, Figure 2: validation accuracy against epochs",
        pairs=(Pair("vgg13", "vgg8"),),
        arms=(Arm("itrd", "itrd"), Arm("crd", "crd"), Arm("kd", "kd")),
        artefact=_convergence,
        assumed=(README_SETTING,),
    ),
)
