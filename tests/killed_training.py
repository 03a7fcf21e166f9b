"""`adapter_on_policy.py` in two processes, and one blow between drawing answers and the update.

KILLED is "HOW STEP", steps from 0. `all`: SIGKILL ends every process. `one`: it ends the second.
`told`: SIGTERM, as a scheduler sends it. Under torchrun the blow falls on the process that started
them, too. Without KILLED nothing happens. See test_on_policy_processes.py.
"""

import os
import signal
import time

import adapter_on_policy
from entrench.training import processes, training_job


def strike(how, told):
    """Every process calls this. `told` has an entry once SIGTERM has arrived."""
    first, launcher = processes.rank() == 0, "TORCHELASTIC_RUN_ID" in os.environ
    if how == "told":
        if not launcher:
            os.kill(os.getpid(), signal.SIGTERM)
        elif first:
            os.kill(os.getppid(), signal.SIGTERM)
        while not told:
            time.sleep(0.01)
        return
    if how == "all" and launcher and first:
        os.kill(os.getppid(), signal.SIGKILL)
    if how == "all" or not first:
        os.kill(os.getpid(), signal.SIGKILL)


def main(argv):
    """The arguments of `adapter_on_policy.py`."""
    if "KILLED" in os.environ:
        from entrench.training import trainer
        from entrench.training.objectives.on_policy_step import OnPolicyStep

        how, last = os.environ["KILLED"].split()
        prepared, stop, told = OnPolicyStep.prepared, trainer._Watch.stop, []

        def prepared_and_struck(self, batches, step, steps):
            found = prepared(self, batches, step, steps)
            if step == int(last):
                strike(how, told)
            return found

        def noted(self):
            told.append("SIGTERM")
            stop(self)

        OnPolicyStep.prepared, trainer._Watch.stop = prepared_and_struck, noted
    adapter_on_policy.main(argv)


if __name__ == "__main__":
    training_job.run(main)
