"""Reference cases of parts of a method: how each is computed and compared."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from losses import COMMON, LOSSES, Objective, TrainingData
from losses.cc import congruence
from losses.ft import factor_distance, translator
from losses.mimkd import in_batch_bound, rows_of
from losses.parts.critics import Convolve, Critic, ProjectAndDot, jsd_bound
from losses.reviewkd import hierarchical_context_loss
from losses.sp import similarity_distance
from losses.wcord import transport_cost, transport_plan, wasserstein_gap
from models.outputs import Outputs, Shapes, shapes_from
from search_spaces import SPACES
from tests.support.golden_cases import Case, layer
from tests.support.loss_inputs import (
    make_batch,
    network_shapes,
    outputs_of,
    random_outputs,
    shapes,
)

KINDS = ("weight", "bias")


def setting_of(method: str, changes: dict[str, Any]) -> dict[str, Any]:
    """The published setting with changes, which may be out of the space's range."""
    return SPACES[method].applicable(SPACES[method].published() | changes)


def build(case: Case, student: Shapes, teacher: Shapes, **changes: Any) -> Any:
    """The case's method with a changed setting, without cross-entropy and KD."""
    setting = setting_of(case.method, changes)
    own = {name: value for name, value in setting.items() if name not in COMMON}
    return LOSSES[case.method](student, teacher, **own).to(case.dtype)


def load(module: nn.Module, case: Case, fields: dict[str, str]) -> dict[str, Tensor]:
    """Sets the weights that `fields` names; returns the parameters by the case's names."""
    module.to(case.dtype)
    weights = {ours: case[field] for ours, field in fields.items()}
    module.load_state_dict(module.state_dict() | weights)
    parameters = dict(module.named_parameters())
    return {field: parameters[ours] for ours, field in fields.items() if ours in parameters}


def congruence_of_embeddings(case: Case) -> None:
    student = case.leaf("e_s")
    loss = congruence(student, case["e_t"])
    case.compare("loss", loss)
    case.compare_gradients(loss, {"e_s": student})


def fitnet_without_batch_norm(case: Case) -> None:
    """The mean squared error of the maps, or after a plain convolution."""
    student, teacher = outputs_of(maps=case.maps("s")), outputs_of(maps=case.maps("t"))
    loss = build(case, shapes_from(student), shapes_from(teacher), weight=1.0, layer="stage1")
    heads: dict[str, Tensor] = {}
    loss.regressor = nn.Identity()
    if "w_conv" in case:
        loss.regressor = nn.Conv2d(6, 10, kernel_size=1)
        heads = load(loss.regressor, case, {"weight": "w_conv", "bias": "b_conv"})
    term = loss(student, teacher, make_batch(4))["fitnet"]
    case.compare("loss", term)
    case.compare_gradients(term, {"s0": student.feature_maps["stage1"], **heads})


def sum_of_levels(distance: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Case], None]:
    """Of a distance of two maps, summed over all pairs of maps."""

    def compare(case: Case) -> None:
        students = case.maps("s")
        levels = torch.stack(list(map(distance, students, case.maps("t"))))
        case.compare("loss_levels", levels)
        case.compare("loss", levels.sum())
        leaves = {f"s{level}": x for level, x in enumerate(students)}
        case.compare_gradients(levels.sum(), leaves)

    return compare


def distance_of_factors(case: Case) -> None:
    factor, given = case.leaf("s0"), case.hyperparameters
    loss = factor_distance(factor, case["t0"], p1=given.get("p1"), p2=given.get("p2", 1))
    case.compare("loss", loss)
    case.compare_gradients(loss, {"s0": factor})


def paraphraser(case: Case) -> None:
    teacher = outputs_of(maps=case.maps("t"))
    network, feature_map = shapes_from(teacher), teacher.feature_maps["stage1"]
    loss = build(case, network, network, rate=case.hyperparameters["k"])
    fields: dict[str, str] = {}
    for number in range(3):
        fields |= layer(f"encoder.{2 * number}", f"enc{number}")
        fields |= layer(f"decoder.{2 * number}", f"dec{number}")
    heads = load(loss.paraphraser, case, fields)
    case.compare("factor", loss.paraphraser.encoder(feature_map))
    case.compare("reconstruction", loss.paraphraser(feature_map))
    term = loss.initial_forward(None, teacher, make_batch(3))["reconstruction"]
    case.compare("loss", term)
    case.compare_gradients(term, heads)


def translated_factor(case: Case) -> None:
    student_map, teacher_factor = case.leaf("s0"), case["teacher_factor"]
    layers = translator(student_map.shape[1], teacher_factor.shape[1])
    fields: dict[str, str] = {}
    for number in range(3):
        fields |= layer(f"{3 * number}", f"conv{number}") | layer(
            f"{3 * number + 1}", f"bn{number}"
        )
    heads = load(layers, case, fields)
    factor = layers(student_map)
    case.compare("factor", factor)
    distance = factor_distance(factor, teacher_factor, p1=2, p2=1)
    case.compare("loss", distance)
    case.compare_gradients(distance, {"s0": student_map, **heads})


def two_batches_with_memory(case: Case) -> None:
    """CRD and CRCD: the banks and the constants after each batch are compared too."""
    given = case.hyperparameters
    loss = build(
        case,
        *(shapes(case[field].shape[1]) for field in ("f_s_1", "f_t_1")),
        num_negatives=given["K"],
        nce_temperature=given["T"],
        momentum=given["momentum"],
        width=given["feat_dim"],
    )
    images = torch.arange(given["n_data"])
    loss.start(TrainingData(images, images % 5, num_epochs=240))
    fields = {
        f"{whose}_head.{kind}": f"w_embed_{whose[0]}_{kind}"
        for whose in ("student", "teacher")
        for kind in KINDS
    }
    banks = {f"banks.{whose}": f"memory_{whose[0]}_0" for whose in ("student", "teacher")}
    heads = load(loss, case, fields | banks)
    for number in (1, 2):
        student, contrast = case.leaf(f"f_s_{number}"), case[f"contrast_idx_{number}"]
        assert torch.equal(contrast[:, 0], case[f"idx_{number}"])
        ours, theirs = loss.student_head(student), loss.teacher_head(case[f"f_t_{number}"])
        case.compare(f"embed_s_{number}", ours)
        value = loss.contrast(ours, theirs, contrast[:, 0], contrast[:, 1:])
        case.compare(f"loss_{number}", value)
        case.compare("Z_s", loss.student_nce.log_z.exp())
        case.compare("Z_t", loss.teacher_nce.log_z.exp())
        case.compare(f"memory_s_{number}", loss.banks.student)
        case.compare(f"memory_t_{number}", loss.banks.teacher)
        leaves = {"f_s": student, **heads}
        case.compare_gradients(value, {f"{name}_{number}": x for name, x in leaves.items()})


def crcd_gradient_term(case: Case) -> None:
    embedding, classifier = case.leaf("f_s"), case.leaf("w_classifier_s")
    student = random_outputs(shapes(7, classes=5), 6, 0, train=False)._replace(
        logits=embedding @ classifier.T, classifier=classifier
    )
    teacher = student._replace(
        logits=case["f_t"] @ case["w_classifier_t"].T, classifier=case["w_classifier_t"]
    )
    loss = build(case, shapes(7), shapes(7))
    value = loss.gradient(student, teacher, make_batch(6)._replace(labels=case["labels"]))
    case.compare("loss", value)
    case.compare_gradients(value, {"f_s": embedding, "w_classifier_s": classifier})


def hsakd(case: Case) -> None:
    """The case starts from the branches' logits: here branches give back their maps."""
    loss = build(
        case,
        network_shapes("wrn_10_1"),
        network_shapes("resnet8"),
        hsakd_temperature=case.hyperparameters["T"],
    )
    assert len(loss.pairs) == case.hyperparameters["n_branches"]
    loss.student_branches = nn.ModuleList(nn.Identity() for _ in loss.pairs)
    loss.teacher_branches = nn.ModuleList(nn.Identity() for _ in loss.pairs)
    leaves = {name: case.leaf(name) for name in ("y_s", "ss_s0", "ss_s1", "ss_s2")}
    maps = {s: leaves[f"ss_s{k}"] for k, (s, _) in enumerate(loss.pairs)}
    student = Outputs(leaves["y_s"], torch.empty(0), maps, {})
    maps = {t: case[f"ss_t{k}"] for k, (_, t) in enumerate(loss.pairs)}
    teacher = Outputs(case["y_t"], torch.empty(0), maps, {})
    batch = make_batch(3)._replace(labels=case["labels"])

    objective = Objective(loss)
    terms = objective(student, teacher, batch)
    case.compare("loss_ce", terms["ce"])
    case.compare("loss_logit", terms["logits"])
    torch.testing.assert_close(terms["branches"], case["loss_branches"].sum())
    total = sum(terms.values(), torch.zeros(()))
    case.compare("loss", total)
    case.compare_gradients(total, leaves)

    # The initial stage: the case scores the student's logits by the teacher's objective, whose
    # cross-entropy is a constant where the teacher is frozen.
    maps = {t: student.feature_maps[s] for s, t in loss.pairs}
    first = loss.initial_forward(None, student._replace(feature_maps=maps), batch)
    case.compare("teacher_stage_loss", first["branches"] + terms["ce"])


def critic_fields(case: Case) -> dict[str, str]:
    """Our names of a critic's parameters, with the fields of a case of MIMKD."""
    if case.hyperparameters["critic"] == "convolve":
        layers = enumerate(("first", "second", "third"), start=1)
        return {
            f"{name}.{kind}": f"critic_{kind[0]}{number}"
            for number, name in layers
            for kind in KINDS
        }
    ends = {"first": ("w1", "b1"), "second": ("w2", "b2"), "shortcut": ("ws", "bs")}
    ends["norm"] = ("ln_w", "ln_b")
    return {
        f"{network}_projection.{name}.{kind}": f"proj_{network[0]}_{end}"
        for network in ("teacher", "student")
        for name, fields in ends.items()
        for kind, end in zip(KINDS, fields, strict=True)
    }


def critic_of(case: Case, teacher: Tensor, student: Tensor) -> tuple[Critic, dict[str, Tensor]]:
    """With the case's weights, and its parameters by the case's names."""
    given = case.hyperparameters
    channels, width = (teacher.shape[1], student.shape[1]), given["hidden"]
    critic: Critic
    if given["critic"] == "convolve":
        critic = Convolve(*channels, width=width)
    else:
        shortcut = "linear" if given["shortcut"].startswith("linear, no ReLU") else "relu"
        critic = ProjectAndDot(*channels, width=width, shortcut=shortcut)
    return critic, load(critic, case, critic_fields(case))


def critic_in_the_batch(case: Case) -> None:
    def rows(x: Tensor) -> Tensor:
        return x[:, None] if x.ndim == 2 else rows_of(x, None)

    field = "f_s" if "f_s" in case else "F_s"
    student, teacher = case.leaf(field), case["f_t" if "f_t" in case else "F_t"]
    critic, heads = critic_of(case, teacher, student)
    teacher_part, student_part = (
        critic.teacher_part(rows(teacher)),
        critic.student_part(rows(student)),
    )
    if "projected_t" in case:
        case.compare("projected_t", teacher_part)
        case.compare("projected_s", student_part)
    case.compare("scores_pos", critic.score(teacher_part, student_part))
    case.compare("scores_neg", critic.score(teacher_part, student_part[case["neg_idx"]]))
    loss = -in_batch_bound(critic, rows(teacher), rows(student), case["neg_idx"])
    case.compare("loss", loss)
    case.compare_gradients(loss, {field: student, **heads})


def critic_with_many_negatives(case: Case) -> None:
    student = case.leaf("f_s")
    critic, heads = critic_of(case, case["f_t"], student)
    teacher_part = critic.teacher_part(case["f_t"])
    matching = critic.score(teacher_part, critic.student_part(student))
    mismatched = critic.score(teacher_part[:, None], critic.student_part(case["neg_student_bank"]))
    case.compare("scores_pos", matching)
    case.compare("scores_neg", mismatched)
    loss = -jsd_bound(matching, mismatched)
    case.compare("loss", loss)
    case.compare_gradients(loss, {"f_s": student, **heads})


def bound_of_scores(case: Case) -> None:
    matching, mismatched = case.leaf("scores_pos"), case.leaf("scores_neg")
    bound = jsd_bound(matching, mismatched)
    case.compare("bound", bound)
    case.compare("bound_shifted_2log2", bound + 2 * math.log(2))
    case.compare("loss", -bound)
    case.compare_gradients(-bound, {"scores_pos": matching, "scores_neg": mismatched})


def mimkd_objective(case: Case) -> None:
    """MIMKD's terms from the case's bounds, beside cross-entropy and KD."""
    logits, given = case.leaf("y_s"), case.hyperparameters
    network = shapes(3, classes=6, **{f"stage{k}": (2, 4, 4) for k in range(given["K"])})
    student = random_outputs(network, 5, 0, train=False)._replace(logits=logits)
    batch = make_batch(5)._replace(labels=case["labels"])
    for reduction, field in (("sum", "loss"), ("mean", "loss_feature_mean")):
        weights = {name: given[name] for name in ("lambda_g", "lambda_l", "lambda_f")}
        loss = build(
            case, network, network, **weights, feature_reduction=reduction, num_negatives=1
        )
        objective = Objective(
            loss,
            ce_weight=given["alpha"],
            kd_weight=1 - given["alpha"],
            temperature=given["T"],
        )
        bounds = iter((case["bound_global"], case["bound_local"], *case["bound_feature"]))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("losses.mimkd.in_batch_bound", lambda *_, bounds=bounds: next(bounds))
            total = sum(objective(student, student._replace(logits=case["y_t"]), batch).values())
        case.compare(field, total)
        case.compare_gradients(total, {"y_s": logits})


def deep_infomax_local_term(case: Case) -> None:
    """The scores of Deep InfoMax's projections, which are written out here."""
    keys = ("w1", "bn_w", "bn_b", "w2", "b2", "ln_w", "ln_b", "ws")
    heads = {f"proj_{who}_{key}": case.leaf(f"proj_{who}_{key}") for who in "st" for key in keys}

    def project(who: str, x: Tensor) -> Tensor:
        """A map's rows, [B, P, units]."""
        w = {key: heads[f"proj_{who}_{key}"] for key in keys}
        hidden = F.batch_norm(F.conv2d(x, w["w1"]), None, None, w["bn_w"], w["bn_b"], training=True)
        projected = F.conv2d(hidden.relu(), w["w2"], w["b2"]) + F.conv2d(x, w["ws"])
        return F.layer_norm(rows_of(projected, None), projected.shape[1:2], w["ln_w"], w["ln_b"])

    student_map = case.leaf("F_s")
    student, teacher = project("s", student_map), project("t", case["f_t"])
    case.compare("projected_s", student.mT.contiguous())
    # Every teacher with every location of every image, [B, B, P].
    critic = ProjectAndDot(1, 1, width=1, shortcut="relu")
    scores = critic.score_all(teacher.flatten(0, 1), student.flatten(0, 1)).unflatten(1, (5, 16))
    same_image = torch.eye(5, dtype=torch.bool)
    loss = -jsd_bound(scores[same_image], scores[~same_image]) - 2 * math.log(2)
    case.compare("loss", loss)
    case.compare_gradients(loss, {"F_s": student_map, **heads})


def wcord_local_term(case: Case) -> None:
    student, given = case.leaf("f_s"), case.hyperparameters
    epsilon, iterations = given["epsilon"], given["iterations"]
    cost = 1 - F.normalize(case["f_t"]) @ F.normalize(student).T
    case.compare("cost", cost)
    case.compare("plan", transport_plan(cost, epsilon, iterations))
    for plan in ("plan_constant", "unrolled"):
        loss = transport_cost(cost, epsilon, iterations, unrolled=plan == "unrolled")
        case.compare("loss", loss)
        case.compare_gradients(loss, {f"f_s_{plan}": student})


def wcord_global_term(case: Case) -> None:
    matching, mismatched = case.leaf("scores_pos"), case.leaf("scores_neg")
    loss = wasserstein_gap(matching, mismatched, negative_weight=case.hyperparameters["M"])
    case.compare("loss", loss)
    case.compare_gradients(loss, {"scores_pos": matching, "scores_neg": mismatched})


# By the beginning of "method case"; the first that fits.
PARTS: dict[str, Callable[[Case], None]] = {
    "cc raw": congruence_of_embeddings,
    "crcd grad_term": crcd_gradient_term,
    "crcd": two_batches_with_memory,
    "crd": two_batches_with_memory,
    "fitnet conv1x1": fitnet_without_batch_norm,
    "fitnet mse": fitnet_without_batch_norm,
    "ft factor": distance_of_factors,
    "ft paraphraser": paraphraser,
    "ft translator": translated_factor,
    "hsakd": hsakd,
    "mimkd convolve_global_bank": critic_with_many_negatives,
    "mimkd convolve": critic_in_the_batch,
    "mimkd projdot": critic_in_the_batch,
    "mimkd jsd": bound_of_scores,
    "mimkd objective": mimkd_objective,
    "mimkd dim_reference_local": deep_infomax_local_term,
    "reviewkd hcl": sum_of_levels(hierarchical_context_loss),
    "sp": sum_of_levels(similarity_distance),
    "wcord gckt": wcord_global_term,
    "wcord lckt": wcord_local_term,
}
