"""Built-in benchmark tasks."""

from smidgen.tasks.task import Task, Training, load_task, task_names

__all__ = ["Task", "Training", "load_task", "task_names"]
