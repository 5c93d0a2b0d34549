"""The worker plugin that loads the job once per worker, its bundle from a file, also after a restart."""

from typing import Any

from distributed import WorkerPlugin

from nmcdist.datasets.writing import limit_threads
from nmcdist.execution.worker import hold, release
from nmcdist.kernels import notice, say_on_stderr
from nmcdist.log import log_to_stderr
from nmcdist.products.plan import Job

COMPILING = "nmcdist-compiling"  # topic of the Dask events by which workers report that they compile


class HoldJob(WorkerPlugin):
    """Load a job and its bundle when a worker starts.

    A worker whose plugin failed joins the cluster nevertheless, so tasks check that the job is loaded.
    """

    def __init__(self, job: Job) -> None:
        self.job = job

    def setup(self, worker: Any) -> None:
        """Load the bundle into the worker's process."""
        notice.say = lambda text: worker.log_event(COMPILING, text)  # the driver says it once for all workers
        log_to_stderr()
        limit_threads(self.job.threads)
        hold(self.job)

    def teardown(self, worker: Any) -> None:
        """Restore the worker's process."""
        notice.say = say_on_stderr
        release(self.job.key)
