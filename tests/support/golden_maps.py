"""Reference cases of methods that compare feature maps: fields s0, s1, .. and t0, t1, .."""

from models.outputs import Outputs, Shapes, attention_map
from tests.support.golden_cases import Case, shapes


def student_of(case: Case, *, stem: bool = False) -> Outputs:
    """The student's maps as leaves, "stage1" first, or the stem if the case has it."""
    return _outputs(case, "s", case.leaf, stem)


def teacher_of(case: Case, *, stem: bool = False) -> Outputs:
    """The teacher's maps, with their attention maps."""
    teacher = _outputs(case, "t", case.__getitem__, stem)
    attention = {name: attention_map(x) for name, x in teacher.feature_maps.items()}
    return teacher._replace(attention_maps=attention)


def shapes_of_maps(outputs: Outputs) -> Shapes:
    return shapes(1, **{name: tuple(x.shape[1:]) for name, x in outputs.feature_maps.items()})


def assert_map_gradients(case: Case, student: Outputs) -> None:
    """Compares the gradient of each of the student's maps with the case's."""
    maps = student.feature_maps.values()
    case.assert_gradients({f"s{number}": x for number, x in enumerate(maps)})


def _outputs(case: Case, whose: str, field, stem: bool) -> Outputs:
    num_maps = sum(name.startswith(whose) and name[1:].isdigit() for name in case.fields)
    names = ["stem"] * stem + [f"stage{number}" for number in range(1, num_maps + 1)]
    maps = {name: field(f"{whose}{number}") for number, name in enumerate(names[:num_maps])}
    nothing = next(iter(maps.values())).new_zeros(0)
    return Outputs(nothing, nothing, maps, {})
