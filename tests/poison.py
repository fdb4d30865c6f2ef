"""What workers run in place of a job, to be killed in the middle: pickled by this module's name."""

import os
import signal
import time
from pathlib import Path

from pfnlab.sweeps.jobs import Answer, Job, work

#: A point with this batch kills whatever process replays it, each time.
BATCH = 13
#: The first process that finds this file takes it away and dies: once, and never again.
ONCE = Path(os.environ.get("PFNLAB_TEST_POISON", "/nonexistent"))


def kills_always(job: Job) -> Answer:
    """Die if the poisoned point is in the job."""
    if any(point.params.batch_chunks == BATCH for point in job.points):
        os.kill(os.getpid(), signal.SIGKILL)
    return work(job)


def kills_once(job: Job) -> Answer:
    """Die the first time, in the middle of a job."""
    answer = work(job)
    try:
        ONCE.unlink()
    except FileNotFoundError:
        return answer
    os.kill(os.getpid(), signal.SIGKILL)
    return answer


def raises(job: Job) -> Answer:
    """Fail as a bug in a worker would."""
    time.sleep(0)
    raise ZeroDivisionError("a bug")
