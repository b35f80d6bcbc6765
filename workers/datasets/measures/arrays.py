"""Names for the arrays that travel between the steps of a build; all are one-dimensional."""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

#: Milliseconds since the epoch (UTC), or numbers of bins.
Instants: TypeAlias = npt.NDArray[np.int64]
#: Numbers; NaN where nothing is known.
Floats: TypeAlias = npt.NDArray[np.float64]
Flags: TypeAlias = npt.NDArray[np.bool_]
