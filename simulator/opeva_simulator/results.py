"""`results/result.json` and the table of KPIs beside the time series."""

from pathlib import Path

import pandas as pd
from citylearn.citylearn import CityLearnEnv

from opeva_simulator.job_folder import JobFolder, finite, write_json

Kpis = dict[str, dict[str, float | None]]


def write(folder: JobFolder, env: CityLearnEnv) -> Kpis:
    """Write CityLearn's cost functions of the episode: `{District | building: {kpi: value}}`, null for undefined ones.

    Each is relative to the same community without storage: 1.0 means no better and no worse.
    """
    kpis: Kpis = {}
    for row in env.evaluate().itertuples(index=False):
        kpis.setdefault(str(row.name), {})[str(row.cost_function)] = finite(row.value)
    write_json(folder.result, kpis)
    return kpis


def write_table(session: Path, env: CityLearnEnv) -> None:
    """Write the longer list of KPIs, in absolute units, as `exported_kpis.csv`: a row a KPI, a column a building."""
    table: pd.DataFrame = env.evaluate_v2(include_business_as_usual=False)
    session.mkdir(parents=True, exist_ok=True)
    table.pivot(index="cost_function", columns="name", values="value").rename_axis("KPI").to_csv(
        session / "exported_kpis.csv"
    )
