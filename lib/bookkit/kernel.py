"""What runs in the kernel of a chapter, around the cells of the chapter.

It finds out what the chapter depends on: the modules of the project that it
imported, directly or not, and the files of the project that it read.
"""

import os
import sys
from pathlib import Path
from typing import Final

PROBE_MIME: Final = "application/vnd.bookkit.probe+json"

# A chapter may cost so much of one processor: what else runs does not count.
SECONDS: Final = 60

_read: set[Path] = set()


def prepare(root: str) -> None:
    """Start watching which files below `root` are read; fix the threads."""
    # One thread for each kernel: chapters run side by side, and a sum split
    # over threads depends on their number in the last digits.
    os.environ.update(
        OMP_NUM_THREADS="1",
        OPENBLAS_NUM_THREADS="1",
        JAX_PLATFORMS="cpu",
        XLA_FLAGS="--xla_cpu_multi_thread_eigen=false",
    )
    base = Path(root)

    def watch(event: str, arguments: tuple[object, ...]) -> None:
        if event == "open" and isinstance(arguments[0], str | bytes):
            # Not resolve(): it would ask the file system about every file.
            path = Path(os.path.abspath(os.fsdecode(arguments[0])))  # noqa: PTH100
            if path.is_relative_to(base):
                _read.add(path)

    sys.addaudithook(watch)


def report(root: str) -> None:
    """Display the files of the project that this kernel depends on, and its cost."""
    from IPython.display import display

    base = Path(root)
    library = (base / "lib", Path(__file__).parent)
    modules = {
        Path(file)
        for module in list(sys.modules.values())
        if (file := getattr(module, "__file__", None))
        and any(Path(file).is_relative_to(folder) for folder in library)
    } - {Path(__file__)}
    data = {path for path in _read if _is_data(path.relative_to(base))}
    files = sorted(str(path) for path in modules | data)
    # Of this process and the workers that it waited for.
    seconds = sum(os.times()[:4])
    probe = {"files": files, "processor_seconds": round(seconds, 1)}
    display({PROBE_MIME: probe}, raw=True)  # type: ignore[no-untyped-call]


def _is_data(path: Path) -> bool:
    """Whether `path` is data: no code, nothing generated, nothing hidden."""
    return path.suffix not in {".py", ".pyc"} and not any(
        part.startswith((".", "_build")) or part.endswith(".egg-info") for part in path.parts
    )
