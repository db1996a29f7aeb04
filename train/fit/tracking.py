"""Experiment tracking by the Trainer's own integrations: a board that stays on this machine, with all that a run has."""

from __future__ import annotations

import contextlib
import importlib.util
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path

from transformers import Trainer, TrainerCallback
from transformers.integrations import MLflowCallback, TensorBoardCallback, TrackioCallback

from train.config import ConfigError, FitConfig, TrackConfig
from train.run import Run, read_json

PROJECT = "shelftalk"  # under which a board lists the runs
BOARDS = {
    "tensorboard": "tensorboard --logdir {run}/tensorboard",
    "mlflow": "mlflow ui --backend-store-uri sqlite:///{run}/mlflow/mlflow.db",
    "trackio": f"trackio show --project {PROJECT}",
}


def check(config: TrackConfig) -> None:
    """Raises ConfigError, with what to install, where a board's package is missing."""
    if config.report_to in BOARDS and importlib.util.find_spec(config.report_to) is None:
        raise ConfigError(
            f"--report-to {config.report_to} needs a package that is not here: pip install {config.report_to}"
        )


def board(run: Run, config: TrackConfig) -> str:
    """Returns the command that opens the board."""
    return BOARDS[config.report_to].format(run=run.folder)


@contextlib.contextmanager
def training(
    trainer: Trainer, run: Run, recipe: FitConfig, config: TrackConfig, step: int
) -> Iterator[None]:
    """Follows what is trained inside it, from optimizer step `step` on; a run that goes on goes on there, too.

    The integrations are given their folder instead of a name in TrainingArguments.report_to, for then they would ask the
    environment, or write where checkpoints are.
    """
    if config.report_to == "none":
        yield
        return
    with FOLLOWED[config.report_to](
        run, {**asdict(recipe), "base": Path(recipe.base).name}, step
    ) as callback:
        trainer.add_callback(callback)
        yield
    print(f"fit: the board opens with: {board(run, config)}", flush=True)


def evaluated(run: Run, config: TrackConfig) -> None:
    """Adds what evaluate left in a run to its board: scores, plots, adapter and card."""
    if config.report_to == "none":
        return
    metrics = read_json(run.metrics)
    steps = run.adapter_record()["steps"]
    SCORED[config.report_to](run, figures(metrics), steps)
    print(f"evaluate: the board opens with: {board(run, config)}", flush=True)


def figures(metrics: Mapping) -> dict[str, float]:
    """Returns the numbers of metrics.json by name, like "seen/tuned/rougeL" and "seen/difference/rougeL"."""
    found = {}
    for name, scores in metrics.items():
        columns = [column for column in scores if column not in ("n", "difference", "against")]
        found |= {
            f"{name}/{column}/{metric}": value
            for column in columns
            for metric, value in scores[column].items()
        }
        found |= {
            f"{name}/difference/{metric}": change["mean"]
            for metric, change in scores["difference"].items()
        }
    return {name: float(value) for name, value in found.items() if value is not None}


def prefixed(recipe: Mapping) -> dict:
    """Returns our options under names that the Trainer's own do not have."""
    return {f"recipe/{name}": value for name, value in recipe.items()}


def plots(run: Run) -> dict[str, Path]:
    """Returns a run's pictures by name."""
    return {path.stem: path for path in sorted((run.plots).glob("*.png"))}


def card(run: Run) -> str:
    """Returns the adapter's card, in Markdown, without its metadata."""
    return run.card.read_text(encoding="utf-8").split("---\n", 2)[-1]


# --- TensorBoard: run/tensorboard, which has no place for files ------------------------------------------------------


@contextlib.contextmanager
def tensorboard_training(run: Run, recipe: dict, step: int) -> Iterator[TrainerCallback]:
    """Gives the Trainer's TensorBoard callback; what an earlier call logged after `step` is taken back."""
    from torch.utils.tensorboard import SummaryWriter

    writer = SummaryWriter(run.folder / "tensorboard", purge_step=step + 1 if step else None)
    writer.add_text(
        "recipe",
        "\n".join(
            [
                "| option | value |",
                "|---|---|",
                *(f"| {name} | {value} |" for name, value in recipe.items()),
            ]
        ),
        step,
    )
    yield TensorBoardCallback(writer)


def tensorboard_scored(run: Run, scores: Mapping[str, float], step: int) -> None:
    """Logs scores, plots and card, and which adapter they are of."""
    from matplotlib.image import imread
    from torch.utils.tensorboard import SummaryWriter

    from train.evaluate import digests

    with SummaryWriter(run.folder / "tensorboard") as writer:
        for name, value in scores.items():
            writer.add_scalar(name, value, step)
        for name, path in plots(run).items():
            writer.add_image(name, imread(path)[..., :3], step, dataformats="HWC")
        writer.add_text("card", card(run), step)
        writer.add_text(
            "adapter",
            "\n\n".join(f"{name} {digest}" for name, digest in digests(run.adapter).items()),
            step,
        )


# --- MLflow: run/mlflow, a SQLite store and the files ----------------------------------------------------------------


@contextlib.contextmanager
def mlflow_training(run: Run, recipe: dict, step: int) -> Iterator[TrainerCallback]:
    """Gives the Trainer's MLflow callback, within the run's one MLflow run."""
    with mlflow_run(run) as mlflow:
        mlflow.log_params(prefixed(recipe))
        yield MLflowCallback()


def mlflow_scored(run: Run, scores: Mapping[str, float], step: int) -> None:
    """Logs scores, plots, report, card and adapter."""
    with mlflow_run(run) as mlflow:
        mlflow.log_metrics(scores, step=step)
        for path in (run.folder / "report.html", run.metrics, *plots(run).values()):
            mlflow.log_artifact(str(path))
        mlflow.log_artifacts(str(run.adapter), "adapter")


@contextlib.contextmanager
def mlflow_run(run: Run) -> Iterator:
    """Goes on with the MLflow run in run/mlflow, or begins it; MLflow's own reports on its use are turned off."""
    import mlflow
    from mlflow.environment_variables import MLFLOW_DISABLE_TELEMETRY
    from mlflow.telemetry import set_telemetry_client

    MLFLOW_DISABLE_TELEMETRY.set(True)
    set_telemetry_client()
    folder = (run.folder / "mlflow").resolve()
    folder.mkdir(exist_ok=True)
    mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
    if mlflow.get_experiment_by_name(PROJECT) is None:
        mlflow.create_experiment(PROJECT, (folder / "artifacts").as_uri())
    mlflow.set_experiment(PROJECT)
    begun = mlflow.search_runs(max_results=1, output_format="list")
    with mlflow.start_run(
        run_id=begun[0].info.run_id if begun else None, run_name=run.folder.resolve().name
    ):
        yield mlflow


# --- Trackio: its own folder beside the Hub's cache, where all runs are together -------------------------------------


class RecipeTrackio(TrackioCallback):
    """The Trainer's Trackio callback, with the recipe among the parameters."""

    def __init__(self, recipe: dict) -> None:
        super().__init__()
        self.recipe = recipe

    def setup(self, args, state, model, **kwargs):
        """Begins the run, or goes on with it."""
        super().setup(args, state, model, **kwargs)
        self._trackio.config.update(prefixed(self.recipe), allow_val_change=True)


@contextlib.contextmanager
def trackio_training(run: Run, recipe: dict, step: int) -> Iterator[TrainerCallback]:
    """Gives the Trainer's Trackio callback; TrainingArguments have the project and the run's name."""
    yield RecipeTrackio(recipe)


def trackio_scored(run: Run, scores: Mapping[str, float], step: int) -> None:
    """Logs scores, plots, card and adapter."""
    import trackio

    recipe = run.adapter_record()["config"]
    trackio.init(
        project=PROJECT, name=run.folder.resolve().name, resume="allow", config=prefixed(recipe)
    )
    trackio.log(
        {
            **scores,
            **{f"plots/{name}": trackio.Image(path) for name, path in plots(run).items()},
            "card": trackio.Markdown(card(run)),
        },
        step=step,
    )
    trackio.log_artifact(run.adapter, name=f"{run.folder.resolve().name}-adapter", type="model")
    trackio.finish()


FOLLOWED = {
    "tensorboard": tensorboard_training,
    "mlflow": mlflow_training,
    "trackio": trackio_training,
}
SCORED = {"tensorboard": tensorboard_scored, "mlflow": mlflow_scored, "trackio": trackio_scored}
