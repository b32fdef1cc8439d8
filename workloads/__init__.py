"""What work asks: models, software stacks and tasks; knows no machine.

>>> import workloads
>>> workloads.model("llama3-405b").layers
126
"""

from workloads.load import model, names, sources, sources_of, stack, task, training_task
from workloads.program import program
from workloads.tasks import ClusterTask, JobClass, ServiceClass, ServingTask, Task, TrainingTask

__all__ = [
    "ClusterTask",
    "JobClass",
    "ServiceClass",
    "ServingTask",
    "Task",
    "TrainingTask",
    "model",
    "names",
    "program",
    "sources",
    "sources_of",
    "stack",
    "task",
    "training_task",
]
