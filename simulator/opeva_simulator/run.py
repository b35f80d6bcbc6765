"""A run from its config to its results."""

import os
import time
from pathlib import Path

from citylearn.citylearn import CityLearnEnv

from opeva_simulator import agents, job_info, results, series
from opeva_simulator.config import Experiment
from opeva_simulator.dataset import open_environment
from opeva_simulator.errors import DatasetError
from opeva_simulator.job_folder import JobFolder
from opeva_simulator.logs import log
from opeva_simulator.progress import Progress
from opeva_simulator.stopping import Stopped
from opeva_simulator.tracking import Tracker


def run(experiment: Experiment, folder: JobFolder, job_id: str) -> None:
    """Run all episodes, writing progress as they go, time series after each and results after the last.

    Raises ConfigError and DatasetError for what the config or the dataset gets wrong.
    """
    run_id = job_info.extend(folder, job_id, experiment)
    log.info("Experiment %r, run %r (%s)", experiment.name, experiment.run_name, run_id)
    progress = Progress(folder, experiment.episodes)
    tracker = Tracker(experiment, folder, job_id, os.environ)
    try:
        kpis = _simulate(experiment, folder, progress, tracker)
    except Stopped:
        progress.write("stopped")
        tracker.end("KILLED")
        raise
    except Exception as error:
        progress.write("failed", error=str(error))
        tracker.end("FAILED")
        raise
    progress.write("finished")
    tracker.end("FINISHED")
    log.info("District: %s", ", ".join(f"{kpi} {value:.3f}" for kpi, value in kpis["District"].items() if value))


def _simulate(experiment: Experiment, folder: JobFolder, progress: Progress, tracker: Tracker) -> results.Kpis:
    session = series.session_folder(folder)
    env = _environment(experiment, session)
    log.info("Dataset %s: %d buildings, %d time steps", experiment.dataset, len(env.buildings), env.time_steps)
    progress.begin(env.time_steps - 1)
    for episode in range(1, experiment.episodes + 1):
        tracker.episode(episode, _episode(env, experiment, episode, progress))
    log.info("Computing the KPIs")
    kpis = results.write(folder, env)
    if experiment.export:
        results.write_table(session, env)
    tracker.kpis(kpis)
    return kpis


def _environment(experiment: Experiment, session: Path) -> CityLearnEnv:
    env = open_environment(
        experiment.dataset,
        series.schema_overrides(),
        central_agent=experiment.central_agent,
        simulation_start_time_step=experiment.start_step,
        simulation_end_time_step=experiment.end_step,
        episode_time_steps=experiment.episode_steps,
        random_seed=experiment.seed,
        # The agents speak lists of actions, not the mappings of the other interface.
        interface="flat",
        **series.environment_arguments(session, experiment.export),
    )
    if env.time_steps < 2:
        raise DatasetError(
            f"An episode of the dataset {experiment.dataset} has {env.time_steps} time steps: 2 are needed"
        )
    return env


def _episode(env: CityLearnEnv, experiment: Experiment, episode: int, progress: Progress) -> dict[str, float]:
    """Run one episode; its metrics: the reward of all agents, the steps made and the seconds taken."""
    began = time.monotonic()
    env.reset()
    seed = None if experiment.seed is None else experiment.seed + episode
    agent = agents.make(experiment.algorithm, env, experiment.hyperparameters, seed)
    reward = 0.0
    step = 0
    over = False
    while not over:
        try:
            _, rewards, terminated, truncated, _ = env.step(agent.actions())
        except Exception as error:
            # Whatever CityLearn raises while stepping is about the rows that it has come to.
            cause = f"{type(error).__name__}: {error}"
            raise DatasetError(f"CityLearn can't step {experiment.dataset} past step {step}: {cause}") from error
        step += 1
        reward += sum(rewards)
        over = terminated or truncated
        progress.step(episode, step)
    log.info("Episode %d/%d is over: %d steps, reward %.2f", episode, experiment.episodes, step, reward)
    return {"reward": reward, "steps": step, "seconds": time.monotonic() - began}
