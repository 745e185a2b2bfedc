"""Step times are measured on real steps of a trial."""

from losses import ITRD
from search_spaces import SPACES
from tuner.config.workload import resolve
from tuner.orchestration.step_times import measure_step_times


def test_step_times_are_measured_on_real_steps(data_dir):
    given = {"data": "digits", "data_dir": data_dir, "teacher": "resnet8", "student": "resnet8"}
    workload = resolve(given | {"limit": 300, "seed": 0})
    setting = SPACES["itrd"].published()
    times = measure_step_times(workload, ITRD, setting, 1, 0.0, trains_teacher=True)
    assert min(times.step, times.teacher, times.validation, times.teacher_step) > 0
    without = measure_step_times(workload, ITRD, setting, 1, 0.0, trains_teacher=False)
    assert without.teacher_step == 0.0
