"""A cluster that several runs share, in a process of its own: ``python -m nmcdist.clusters.shared FOLDER DEPLOYMENT``.

It starts the workers of a deployment and writes into the folder how runs connect to them. It prints one JSON object per
line: "waiting" and "warning" with their text, "ready" with the environment that runs need, "failed" with the reason. It
ends when its standard input is closed, so never later than the process that started it.
"""

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

from nmcdist.clusters import credentials
from nmcdist.clusters.cluster import cluster_of
from nmcdist.clusters.connect import connected
from nmcdist.clusters.deployment import Deployment, load_deployment
from nmcdist.clusters.environment import as_environment
from nmcdist.clusters.resources import Resources, this_machine
from nmcdist.clusters.sizing import resources_for
from nmcdist.datasets.folder import Folder
from nmcdist.errors import NmcdistError, StoreError

DEPLOYMENT = "deployment.yaml"  # in the folder: the file of the runs
READY, WAITING, WARNING, FAILED = "ready", "waiting", "warning", "failed"
_LOOK_S = 0.5


def can_be_shared(deployment: Deployment) -> bool:
    """Return whether runs can share the workers of a deployment: if it says how many, and they are not shared yet."""
    return bool(deployment.workers) and not cluster_of(deployment).outlives_the_run


def hold(deployment: Deployment, folder: Path) -> None:
    """Start the workers of a deployment, say how to connect to them, and keep them until the scheduler is gone.

    Parameters
    ----------
    deployment : Deployment
    folder : Path
        Gets the deployment file of the runs, and their credentials; only its owner may read it.

    Raises
    ------
    StoreError
        If the workers do not start, or the scheduler is gone.
    """
    resources = resources_for(deployment, this_machine(), 1, lambda threads: 0.0)
    cluster_of(deployment).preflight(deployment, resources)
    with connected(
        deployment, resources, folder=folder,
        waiting=lambda text: _say(WAITING, text=text), warn=lambda text: _say(WARNING, text=text),
    ) as client:  # fmt: skip
        settings = credentials.client_tls_settings(client.security, folder)
        Folder(folder).write(DEPLOYMENT, json.dumps(_for_runs(client, deployment, resources)).encode())
        _say(READY, environment=as_environment(settings))
        while client.status == "running":
            time.sleep(_LOOK_S)
    raise StoreError("the Dask scheduler is gone")


def _for_runs(client: Any, deployment: Deployment, resources: Resources) -> dict[str, Any]:
    return {
        "kind": "scheduler",
        "address": client.scheduler.address,
        "workers": resources.workers,
        "threads_per_worker": resources.threads,
        "memory_per_worker": resources.memory,
        "dashboard": deployment.dashboard,
        "patience": f"{cluster_of(deployment).patience_s(deployment):.0f}s",
    }


def _say(event: str, **facts: Any) -> None:
    print(json.dumps({"event": event, **facts}), flush=True)


def _end_with_the_input() -> None:
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGTERM)


def main() -> int:
    """Hold the cluster of the command line."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    threading.Thread(target=_end_with_the_input, daemon=True).start()
    try:
        hold(load_deployment(sys.argv[2]), Path(sys.argv[1]))
    except KeyboardInterrupt:
        return 0
    except NmcdistError as error:
        _say(FAILED, text="; ".join(str(error).splitlines()))
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
