"""What compare_torch.py --family measures of each model, and what is said of it."""

import json
from dataclasses import asdict, dataclass

# Largest allowed error of a logit or of a value of a stage, relative to the largest one
TOLERANCE = 2e-5


@dataclass
class Result:
    """What was measured of one model; None is what could not be, or was not asked for."""

    source: str
    name: str
    file: str
    size: int
    parameters: int | None = None
    # Multiplications and additions of all convolutions and linear layers, for one image
    operations: int | None = None
    recognised_as: str | None = None
    error: float | None = None
    feature_error: float | None = None
    torch_error: float | None = None
    same_argmax: bool | None = None
    rsw_ms: float | None = None
    onnx_ms: float | None = None
    seconds: float = 0.0
    failure: str | None = None

    def recognised(self):
        return self.recognised_as == self.name

    def logits_agree(self):
        return self.error is not None and self.error <= TOLERANCE and self.same_argmax

    def features_agree(self):
        return self.feature_error is not None and self.feature_error <= TOLERANCE

    def passed(self):
        return (
            self.failure is None
            and self.recognised()
            and self.logits_agree()
            and self.features_agree()
        )

    def is_timed(self):
        return self.rsw_ms is not None and self.onnx_ms is not None

    def verdict(self):
        if self.failure:
            return self.failure
        if not self.recognised():
            return f"recognised as {self.recognised_as}"
        return "passed" if self.passed() else "DIFFERS"

    def row(self):
        return (
            f"{self.source}/{self.name}",
            str(self.size),
            *map(scientific, (self.error, self.feature_error, self.torch_error)),
            {True: "equal", False: "DIFFERS", None: "-"}[self.same_argmax],
            f"{self.seconds:.1f}",
            self.verdict(),
        )


HEADINGS = ("model", "pixels", "logits", "stages", "PyTorch f32", "argmax", "seconds", "")


def scientific(value):
    return "-" if value is None else f"{value:.1e}"


class Results:
    """The results by model, kept in a file if there is one, so that a run can be taken up again."""

    def __init__(self, path):
        self.path = path
        self.by_model = {}
        if path and path.exists():
            stored = json.loads(path.read_text())["models"]
            self.by_model = {key: Result(**result) for key, result in stored.items()}

    def finished(self, model, timed):
        result = self.by_model.get(model.key)
        return result is not None and result.passed() and (result.is_timed() or not timed)

    def add(self, model, result):
        self.by_model[model.key] = result
        if self.path:
            models = {key: asdict(result) for key, result in self.by_model.items()}
            unfinished = self.path.with_name(self.path.name + ".tmp")
            unfinished.write_text(json.dumps({"schema": 1, "models": models}, indent=1) + "\n")
            unfinished.replace(self.path)


def summary(results):
    """How many models pass each of the checks."""
    count = len(results)
    yield f"{sum(result.recognised() for result in results)} of {count} recognised"
    for what, agree, value in (
        ("logits", Result.logits_agree, lambda result: result.error),
        ("stages", Result.features_agree, lambda result: result.feature_error),
    ):
        line = f"{sum(map(agree, results))} of {count} with {what} within {TOLERANCE:.0e}"
        measured = [result for result in results if value(result) is not None]
        if measured:
            worst = max(measured, key=value)
            line += f"; largest error {value(worst):.1e}, of {worst.source}/{worst.name}"
        yield line
