"""What a teacher says about each view of the data: computed once, kept, and read by all trials."""

from tuner.teacher_cache.plan import OutputsPlan
from tuner.teacher_cache.teacher import Teacher, TeacherPass

__all__ = ["OutputsPlan", "Teacher", "TeacherPass"]
