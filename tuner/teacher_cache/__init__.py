"""Teacher-output cache: each augmented batch goes through the teacher once; all trials read
the stored outputs.
"""

from tuner.teacher_cache.plan import OutputsPlan
from tuner.teacher_cache.teacher import Teacher, TeacherPass

__all__ = ["OutputsPlan", "Teacher", "TeacherPass"]
