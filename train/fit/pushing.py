"""Checkpoints -> the Hub while training, in the background and never in its way; and one back, on another machine."""

from __future__ import annotations

import json
import os
import shutil
import threading
from pathlib import Path

from httpx2 import HTTPError
from huggingface_hub import snapshot_download
from huggingface_hub.errors import RepositoryNotFoundError
from tqdm import tqdm
from transformers import TrainerCallback
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from train.config import PushConfig
from train.fit.checkpoints import WHOLE
from train.publish import CHECKPOINT, redacted, send

# What going on needs. The rest of a checkpoint is what the Trainer was called with, paths of this machine included.
FILES = (
    "adapter_config.json",
    "adapter_model.safetensors",
    "optimizer.pt",
    "scheduler.pt",
    "rng_state.pth",
    "trainer_state.json",
    WHOLE,
)
LAST_WAIT = 120.0  # seconds that the end of training waits for a push under way


class Push(TrainerCallback):
    """Sends a checkpoint every so many steps; one that does not arrive is told of, and the next one is tried.

    A checkpoint that is due while an earlier one is still on its way is left out. Add it after checkpoints.Seal.
    """

    def __init__(self, config: PushConfig) -> None:
        self.config, self.pushed, self.thread = config, 0, threading.Thread()

    def on_save(self, args, state, control, **kwargs):
        """Starts a push where one is due."""
        if state.global_step - self.pushed < self.config.push_every or self.thread.is_alive():
            return
        self.pushed = state.global_step
        checkpoint = Path(args.output_dir, f"{PREFIX_CHECKPOINT_DIR}-{state.global_step}")
        # Links, since the Trainer removes old checkpoints while they may still be on their way.
        held = checkpoint.with_name("sending")
        shutil.rmtree(held, ignore_errors=True)
        shutil.copytree(checkpoint, held, copy_function=os.link)
        self.thread = threading.Thread(
            target=self._send, args=(held, state.global_step), daemon=True
        )
        self.thread.start()

    def on_train_end(self, args, state, control, **kwargs):
        """Waits a while for what is on its way."""
        if self.thread.is_alive():
            self.thread.join(LAST_WAIT)

    def _send(self, held: Path, step: int) -> None:
        try:
            files = {f"{CHECKPOINT}/{name}": held / name for name in FILES}
            sent = send(
                files,
                self.config.to,
                message=f"Checkpoint after step {step}",
                private=self.config.private,
                progress=False,
            )
            tqdm.write(f"fit: the checkpoint after step {step} is at {sent.url}")
        except Exception as error:  # whatever it is, training matters more
            tqdm.write(
                f"fit: the checkpoint after step {step} was not sent ({error}); training goes on"
            )
        finally:
            shutil.rmtree(held, ignore_errors=True)


def bring_back(folder: Path, of: str, config: PushConfig) -> None:
    """Puts the repository's checkpoint into an empty `folder`, where it belongs to `of`; says why where it does not come."""
    if any(folder.glob(f"{PREFIX_CHECKPOINT_DIR}-*")):
        return
    arriving = folder / "arriving"
    try:
        snapshot_download(config.to, allow_patterns=f"{CHECKPOINT}/*", local_dir=arriving)
        if (arriving / CHECKPOINT / WHOLE).is_file():
            step = json.loads(
                (arriving / CHECKPOINT / "trainer_state.json").read_text(encoding="utf-8")
            )["global_step"]
            if json.loads((arriving / CHECKPOINT / WHOLE).read_text(encoding="utf-8"))["of"] == of:
                os.replace(arriving / CHECKPOINT, folder / f"{PREFIX_CHECKPOINT_DIR}-{step}")
                tqdm.write(f"fit: goes on after step {step}, with the checkpoint in {config.to}")
            else:
                tqdm.write(
                    f"fit: begins anew; the checkpoint in {config.to} is of another catalogue, base, prompt template or option"
                )
    except RepositoryNotFoundError:
        pass  # nothing was sent yet
    except (OSError, ValueError, KeyError, HTTPError) as error:
        tqdm.write(
            f"fit: begins anew; no checkpoint came from {config.to} ({redacted(str(error))})"
        )
    finally:
        shutil.rmtree(arriving, ignore_errors=True)
