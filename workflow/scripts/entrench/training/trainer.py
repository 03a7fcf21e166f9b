"""transformers.Trainer for the losses of this study, which are sums over the effective batch."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from torch.utils.data import DataLoader
from transformers import Trainer, TrainerCallback, TrainingArguments
from transformers.trainer_callback import PrinterCallback

from entrench.errors import EntrenchError
from entrench.execution.preemption import end_at_once, on_sigterm
from entrench.seeds import derive_seed
from entrench.training import adapters, processes
from entrench.training.batches import (
    EpochOrder,
    sum_over_rows_seen,
    token_count,
    trained_count,
)
from entrench.training.checkpoints import Checkpoints
from entrench.training.micro_batches import StepBatches
from entrench.training.objectives.passes import Batch
from entrench.training.objectives.steps import Step
from entrench.training.settings import Machine, TrainingSettings

CURVE_POINTS = 20
# What a step may sum up: see the methods on-policy.
REPORTED = ("kl", "entropy", "disagreement")


def fit(
    student: PeftModel,
    step: Step,
    examples: Sequence[Any],
    settings: TrainingSettings,
    machine: Machine,
    checkpoints: Checkpoints,
) -> dict[str, Any]:
    """Train the student's adapter, from the last usable checkpoint where there is one.

    Every process of a training calls this, each with all `examples`. Returns the report:
    rows_used (in an epoch), steps, rows_seen, tokens_seen (both sides of pairs), tokens_trained
    (see `trained_count`; None where the padded batch decides), first_loss, last_loss, loss_curve
    (means of at most 20 stretches of steps), first_gradient_norm (before clipping), clipped_share
    (of steps), adapter_change (see `adapters.relative_change`) and trainable_parameters.

    Raises:
        EntrenchError: SIGTERM came (a checkpoint is saved first), the memory is too small, the loss
            or the gradient is not finite, or a checkpoint cannot be written.
    """
    start = {name: tensor.clone() for name, tensor in adapters.adapter_state(student).items()}
    order = EpochOrder(len(examples), settings.seed)
    batches = StepBatches(
        order,
        [token_count(example) if step.rows_are_independent else 0 for example in examples],
        settings.batch_size,
        machine.per_device_batch,
        processes.rank(),
        processes.processes(),
    )
    arguments = _arguments(settings, machine, batches, checkpoints.folder)
    watch = _Watch(order, checkpoints, machine.checkpoint_steps)
    try:
        with on_sigterm(watch.stop):
            trainer = _LoraTrainer(
                model=student,
                args=arguments,
                train_dataset=list(examples),
                data_collator=step.collate,
                callbacks=[watch],
            )
            trainer.remove_callback(PrinterCallback)
            trainer.step, trainer.batches = step, batches
            first = processes.rank() == 0
            resume = processes.from_first(checkpoints.latest() if first else None)
            trainer.train(resume_from_checkpoint=None if resume is None else str(resume))
    except torch.OutOfMemoryError:
        raise EntrenchError(
            f"the device's memory does not hold {batches.largest} rows at once: lower "
            "per_device_batch, or set gradient_checkpointing"
        ) from None
    state = trainer.state
    if watch.stopped and state.global_step < state.max_steps:
        raise EntrenchError(
            f"stopped by SIGTERM after step {state.global_step} of {state.max_steps}: run the same "
            "command again to go on from there"
        )
    full, rest = divmod(state.global_step, math.ceil(len(examples) / settings.batch_size))
    rows_seen = full * len(examples) + rest * settings.batch_size
    logged = [entry for entry in state.log_history if "loss" in entry]
    losses = [entry["loss"] for entry in logged]
    norms = [entry["grad_norm"] for entry in logged]
    clipped = [settings.max_grad_norm > 0 and norm > settings.max_grad_norm for norm in norms]
    return {
        "rows_used": len(examples),
        "steps": state.global_step,
        "first_loss": losses[0],
        "last_loss": losses[-1],
        "loss_curve": _curve(losses),
        "first_gradient_norm": norms[0],
        "clipped_share": sum(clipped) / len(clipped),
        "adapter_change": adapters.relative_change(start, adapters.adapter_state(student)),
        "trainable_parameters": sum(p.numel() for p in student.parameters() if p.requires_grad),
        "rows_seen": rows_seen,
        "tokens_seen": sum_over_rows_seen(list(map(token_count, examples)), order, rows_seen),
        "tokens_trained": sum_over_rows_seen(list(map(trained_count, examples)), order, rows_seen)
        or None,
        **{
            f"{when}_{name}": known[place]
            for name in REPORTED
            if (known := [entry[name] for entry in logged if name in entry])
            for when, place in (("first", 0), ("last", -1))
        },
    }


class _LoraTrainer(Trainer):
    """A Trainer whose loss is a sum over the effective batch divided by its number of terms.

    It saves the student's adapter alone.
    """

    step: Step
    batches: StepBatches
    loss_is_scaled_for_ga = True

    def get_train_dataloader(self) -> DataLoader:
        """This process's micro-batches. accelerate's split would repeat rows to fill batches."""
        return DataLoader(
            self.train_dataset,
            batch_sampler=self.batches,
            collate_fn=self.data_collator,
            pin_memory=self.args.dataloader_pin_memory,
        )

    def get_batch_samples(
        self, epoch_iterator: Iterator[Batch], num_batches: int, device: torch.device
    ) -> tuple[list[Batch], torch.Tensor]:
        """The micro-batches of one optimizer step, and the number of loss terms in all of them."""
        batches = [batch for _, batch in zip(range(num_batches), epoch_iterator, strict=False)]
        with self.compute_loss_context_manager():
            batches = self.step.prepared(batches, self.state.global_step, self.state.max_steps)
        counts = torch.stack([batch["count"].to(device) for batch in batches])
        return batches, self.accelerator.gather(counts.sum()).sum()

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: Batch,
        return_outputs: bool = False,  # noqa: ARG002
        *,
        num_items_in_batch: torch.Tensor,
    ) -> torch.Tensor:
        """The part of the effective batch's loss that comes from this micro-batch."""
        total, _ = self.step.loss(model, inputs)
        # Gradients are averaged over processes, so each part is multiplied by their number.
        return total * self.accelerator.num_processes / num_items_in_batch.clamp(min=1)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Log the means of what the step has summed up, too."""
        sums = self.step.sums()
        if sums:
            both = torch.stack([value.double().to(self.args.device) for value in sums.values()])
            whole = self.accelerator.gather(both.unsqueeze(0)).sum(0).tolist()
            total = dict(zip(sums, whole, strict=True))
            if count := total.pop("count"):
                logs |= {name: value / count for name, value in total.items()}
        super().log(logs, start_time)

    def floating_point_ops(self, inputs: Batch) -> int:  # noqa: ARG002
        """0: operations are not counted, which would visit all parameters at every step."""
        return 0

    def _save_checkpoint(self, model: torch.nn.Module, trial: Any) -> None:
        try:
            super()._save_checkpoint(model, trial)
        except RuntimeError as error:  # torch.save raises it for a full disk
            raise EntrenchError(
                f"{self.args.output_dir}: the checkpoint cannot be written ({error}): free some "
                "space and run the same command again"
            ) from None

    def _save(self, output_dir: str, state_dict: Any = None) -> None:  # noqa: ARG002
        adapters.write_weights(self.model, Path(output_dir) / adapters.WEIGHTS)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:  # noqa: ARG002
        adapters.load_weights(self.model, Path(resume_from_checkpoint), adapters.STUDENT)


class _Watch(TrainerCallback):
    """Sets each epoch's data order, prints progress, marks checkpoints, and obeys SIGTERM."""

    def __init__(self, order: EpochOrder, checkpoints: Checkpoints, every: int) -> None:
        self.order = order
        self.checkpoints = checkpoints
        self.every = every
        self.stopped = False

    def stop(self) -> None:
        """Ask for a checkpoint after the current step, and then for the end."""
        self.stopped = True

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002
        if processes.any_process(self.stopped):
            end_at_once()
        if state.global_step > 0 and processes.rank() == 0:
            print(f"going on from checkpoint-{state.global_step}", flush=True)

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002
        self.order.set_epoch(int(state.epoch or 0))

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002
        self.stopped = processes.any_process(self.stopped)
        if state.global_step == state.max_steps:
            return
        control.should_save = self.stopped or (
            self.every > 0 and state.global_step % self.every == 0
        )
        control.should_training_stop = self.stopped

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002
        processes.wait_for_all()  # each process writes the state of its random numbers
        if processes.rank() == 0:
            folder = self.checkpoints.folder / f"checkpoint-{state.global_step}"
            self.checkpoints.mark_complete(folder)

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:  # noqa: ARG002
        if "loss" not in logs:
            return
        for key, name in (("loss", "loss"), ("grad_norm", "norm of the gradient")):
            if not math.isfinite(logs[key]):
                raise EntrenchError(
                    f"training: the {name} is {logs[key]} at step {state.global_step}: lower "
                    "learning_rate, or set a smaller max_grad_norm"
                )
        stretch = max(1, state.max_steps // 10)
        if state.global_step % stretch == 0 and processes.rank() == 0:
            step = f"step {state.global_step}/{state.max_steps}"
            print(f"{step}  loss {logs['loss']:.4g}  lr {logs['learning_rate']:.2e}", flush=True)


def _arguments(
    settings: TrainingSettings, machine: Machine, batches: StepBatches, checkpoint_folder: Path
) -> TrainingArguments:
    # Each process draws its own dropout.
    dropout: list[str | int] = ["dropout", settings.seed]
    if processes.rank():
        dropout.append(processes.rank())
    arguments = TrainingArguments(
        output_dir=str(checkpoint_folder),
        per_device_train_batch_size=batches.largest,
        gradient_accumulation_steps=batches.micro_batches,
        use_cpu=not torch.cuda.is_available(),
        # The base model stays in bfloat16. The adapter is in float32 and computes in bfloat16.
        bf16=settings.dtype == "bfloat16",
        gradient_checkpointing=machine.gradient_checkpointing,
        gradient_checkpointing_kwargs={"use_reentrant": False},
        num_train_epochs=settings.epochs or 1,
        max_steps=settings.max_steps or -1,
        learning_rate=settings.learning_rate,
        lr_scheduler_type=_SCHEDULES[settings.schedule],
        warmup_steps=settings.warmup_ratio,
        weight_decay=settings.weight_decay,
        max_grad_norm=settings.max_grad_norm,
        # numpy's generator takes 32 bits.
        seed=derive_seed(*dropout) % 2**32,
        # `_Watch` asks for checkpoints. The Trainer refuses them for a model that was sharded on
        # loading, because it takes the optimizer's state to be sharded too. Here it is not: only
        # the adapter is trained, and it is whole.
        save_strategy="no",
        logging_steps=1,
        logging_nan_inf_filter=False,
        report_to="none",
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_num_workers=0,
        dataloader_pin_memory=torch.cuda.is_available(),
    )
    if arguments.n_gpu > 1:
        raise EntrenchError(
            f"{arguments.n_gpu} devices are visible to one process: start as many processes "
            "(--processes), or leave one device in CUDA_VISIBLE_DEVICES"
        )
    return arguments


_SCHEDULES = {"cosine": "cosine", "linear": "linear", "constant": "constant_with_warmup"}


def _curve(losses: Sequence[float]) -> list[float]:
    stretch = math.ceil(len(losses) / CURVE_POINTS)
    parts = [losses[i : i + stretch] for i in range(0, len(losses), stretch)]
    return [sum(part) / len(part) for part in parts]
