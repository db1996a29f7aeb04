"""Experiment tracking on TensorBoard, MLflow or Trackio, all kept on this machine."""

from __future__ import annotations

import contextlib
import importlib.util
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from transformers import Trainer, TrainerCallback
from transformers.integrations.integration_utils import (
    MLflowCallback,
    TensorBoardCallback,
    TrackioCallback,
)

from train.config import ConfigError, FitConfig, TrackConfig
from train.evaluate import adapter_digests
from train.run import Run, read_json

PROJECT = "shelftalk"  # under which a board lists the runs


def check_tracking(config: TrackConfig) -> None:
    """Raise ConfigError, with what to install, where the board's package is missing."""
    if config.report_to in BOARDS and importlib.util.find_spec(config.report_to) is None:
        raise ConfigError(
            f"--report-to {config.report_to} needs a package that is not here: "
            f"pip install {config.report_to}"
        )


@contextlib.contextmanager
def track_training(
    trainer: Trainer, run: Run, config: FitConfig, track: TrackConfig, step: int
) -> Iterator[None]:
    """Report to the board what is trained in this context.

    A resumed run continues at `step`. The Trainer's own integrations are used, but not by
    TrainingArguments.report_to: they would read the environment, or write beside the checkpoints.
    """
    if track.report_to == "none":
        yield
        return
    board = BOARDS[track.report_to](run)
    recipe = {**asdict(config), "base": Path(config.base).name}
    with board.training(recipe, step) as callback:
        trainer.add_callback(callback)
        yield
    print(f"fit: the board opens with: {board.command}", flush=True)


def track_evaluation(run: Run, track: TrackConfig) -> None:
    """Add a run's scores, plots, adapter and card to its board."""
    if track.report_to == "none":
        return
    board = BOARDS[track.report_to](run)
    board.log_evaluation(flat_scores(read_json(run.metrics)), run.adapter_record()["steps"])
    print(f"evaluate: the board opens with: {board.command}", flush=True)


def flat_scores(metrics: Mapping[str, Mapping]) -> dict[str, float]:
    """Name each number of metrics.json, as in "seen/tuned/rougeL" and "seen/difference/rougeL"."""
    flat = {}
    for name, scores in metrics.items():
        for column, means in scores.items():
            if column == "against" or not isinstance(means, Mapping):
                continue
            for metric, value in means.items():
                mean = value["mean"] if column == "difference" else value
                if mean is not None:
                    flat[f"{name}/{column}/{metric}"] = float(mean)
    return flat


class TensorBoard:
    """Logs in run/tensorboard; it takes no files."""

    def __init__(self, run: Run) -> None:
        self.run, self.folder = run, run.folder / "tensorboard"
        self.command = f"tensorboard --logdir {self.folder}"

    @contextlib.contextmanager
    def training(self, recipe: dict[str, Any], step: int) -> Iterator[TrainerCallback]:
        """Yield the Trainer's callback.

        What was logged after `step` is removed.
        """
        from torch.utils.tensorboard import SummaryWriter

        writer = SummaryWriter(self.folder, purge_step=step + 1 if step else None)
        rows = [f"| {name} | {value} |" for name, value in recipe.items()]
        writer.add_text("recipe", "\n".join(["| option | value |", "|---|---|", *rows]), step)
        yield TensorBoardCallback(writer)

    def log_evaluation(self, scores: Mapping[str, float], step: int) -> None:
        """Log scores, plots, card and the adapter's digests."""
        from matplotlib.image import imread
        from torch.utils.tensorboard import SummaryWriter

        lines = [f"{name} {digest}" for name, digest in adapter_digests(self.run.adapter).items()]
        with SummaryWriter(self.folder) as writer:
            for name, value in scores.items():
                writer.add_scalar(name, value, step)
            for name, path in _plots(self.run).items():
                writer.add_image(name, imread(path)[..., :3], step, dataformats="HWC")
            writer.add_text("card", _card_text(self.run), step)
            writer.add_text("adapter", "\n\n".join(lines), step)


class MLflow:
    """One MLflow run in run/mlflow: a SQLite store and the files."""

    def __init__(self, run: Run) -> None:
        self.run, self.folder = run, run.folder / "mlflow"
        self.command = f"mlflow ui --backend-store-uri sqlite:///{self.folder}/mlflow.db"

    @contextlib.contextmanager
    def training(self, recipe: dict[str, Any], step: int) -> Iterator[TrainerCallback]:
        """Yield the Trainer's callback."""
        with self._mlflow_run() as mlflow:
            mlflow.log_params(_prefixed(recipe))
            yield MLflowCallback()

    def log_evaluation(self, scores: Mapping[str, float], step: int) -> None:
        """Log scores, plots, report, card and adapter."""
        with self._mlflow_run() as mlflow:
            mlflow.log_metrics(scores, step=step)
            report = self.run.folder / "report.html"
            for path in (report, self.run.metrics, *_plots(self.run).values()):
                mlflow.log_artifact(str(path))
            mlflow.log_artifacts(str(self.run.adapter), "adapter")

    @contextlib.contextmanager
    def _mlflow_run(self) -> Iterator[Any]:
        """Start or continue the one MLflow run.

        MLflow's reports on its own use are off.
        """
        mlflow = importlib.import_module("mlflow")
        importlib.import_module("mlflow.environment_variables").MLFLOW_DISABLE_TELEMETRY.set(True)
        importlib.import_module("mlflow.telemetry").set_telemetry_client()
        folder = self.folder.resolve()
        folder.mkdir(exist_ok=True)
        mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
        if mlflow.get_experiment_by_name(PROJECT) is None:
            mlflow.create_experiment(PROJECT, (folder / "artifacts").as_uri())
        mlflow.set_experiment(PROJECT)
        earlier = mlflow.search_runs(max_results=1, output_format="list")
        name = self.run.folder.resolve().name
        with mlflow.start_run(run_id=earlier[0].info.run_id if earlier else None, run_name=name):
            yield mlflow


class Trackio:
    """Trackio's own folder beside the Hub's cache, where all runs are together."""

    command = f"trackio show --project {PROJECT}"

    def __init__(self, run: Run) -> None:
        self.run, self.name = run, run.folder.resolve().name

    @contextlib.contextmanager
    def training(self, recipe: dict[str, Any], step: int) -> Iterator[TrainerCallback]:
        """Yield the Trainer's callback.

        TrainingArguments name the project and the run.
        """
        yield RecipeTrackio(recipe)

    def log_evaluation(self, scores: Mapping[str, float], step: int) -> None:
        """Log scores, plots, card and adapter."""
        trackio = importlib.import_module("trackio")
        config = _prefixed(self.run.adapter_record()["config"])
        trackio.init(project=PROJECT, name=self.name, resume="allow", config=config)
        images = {f"plots/{name}": trackio.Image(path) for name, path in _plots(self.run).items()}
        card = trackio.Markdown(_card_text(self.run))
        trackio.log({**scores, **images, "card": card}, step=step)
        trackio.log_artifact(self.run.adapter, name=f"{self.name}-adapter", type="model")
        trackio.finish()


class RecipeTrackio(TrackioCallback):
    """The Trainer's Trackio callback, with the recipe among the parameters."""

    def __init__(self, recipe: dict[str, Any]) -> None:
        super().__init__()
        self.recipe = recipe

    def setup(self, args, state, model, **kwargs):
        """Start or continue the run."""
        super().setup(args, state, model, **kwargs)
        self._trackio.config.update(_prefixed(self.recipe), allow_val_change=True)


BOARDS = {"tensorboard": TensorBoard, "mlflow": MLflow, "trackio": Trackio}


def _prefixed(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """Name our options so that they do not collide with the Trainer's."""
    return {f"recipe/{name}": value for name, value in recipe.items()}


def _plots(run: Run) -> dict[str, Path]:
    return {path.stem: path for path in sorted(run.plots.glob("*.png"))}


def _card_text(run: Run) -> str:
    """Read the adapter's card, in Markdown, without its metadata."""
    return run.card.read_text(encoding="utf-8").split("---\n", 2)[-1]
