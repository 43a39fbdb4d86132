"""What pyproject.toml cannot say: the dependencies are those of requirements.txt, and the wheel holds the notebooks."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

HERE = Path(__file__).parent
TESTS = "# For the tests only"  # what stands below this line of requirements.txt is no dependency


class WithNotebooks(build_py):
    """Copies ``notebooks/*.ipynb`` to ``poisonlib/_notebooks``; an editable installation reads them where they are."""

    def run(self):
        super().run()
        if not self.editable_mode:
            target = Path(self.build_lib, "poisonlib", "_notebooks")
            target.mkdir(parents=True, exist_ok=True)
            for path in sorted((HERE / "notebooks").glob("*.ipynb")):
                shutil.copy(path, target)


def dependencies() -> list[str]:
    """The requirements of the package, with open ranges."""
    above, _, _ = (HERE / "requirements.txt").read_text(encoding="utf-8").partition(TESTS)
    lines = (line.strip() for line in above.splitlines())
    return [line for line in lines if line and not line.startswith(("#", "-"))]


setup(cmdclass={"build_py": WithNotebooks}, install_requires=dependencies())
