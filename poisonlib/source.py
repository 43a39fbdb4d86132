"""A digest of the source code that decides a result. Comments, docstrings and layout do not count.

The digest covers the modules that define the given classes and, from there on, every module that these import: modules of this
package, and the user's own, which are all that lie outside the standard library and site-packages. Modules that only name,
check, store or describe things (`BOOKKEEPING`) are left out; so are data files, and modules that are imported by a computed name.
A module is read when it is first needed and again when it is reloaded, so the digest describes the code that this process runs.
A file that was edited between its import and that moment is refused.
"""

import ast
import functools
import hashlib
import importlib.machinery
import importlib.util
import sys
import sysconfig
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from . import interactive, syntax

STARTED = time.time()
PACKAGE = __package__
_DESCRIBING = ("cache", "environment", "extractor", "ledger", "legacy", "provenance", "record", "seal", "spec")  # in `experiments`
BOOKKEEPING = {
    *(f"{PACKAGE}.{name}" for name in ("check", "files", "interactive", "locks", "paths", "registry", "source", "syntax")),
    *(f"{PACKAGE}.experiments.{name}" for name in _DESCRIBING),
    f"{PACKAGE}.data._content",
}
REWRITTEN = {  # (digests of its code and of that before): it does what it did, as tests show, so records stay valid
    f"{PACKAGE}.attacks": (
        "23cf7506ba0ebc23ae11d3fbb98b83d6ac54e0e271a3eb3978e5fb6a1bc17ccb",
        "ebe235f5c43c0be60b6fc72758a6a2b401819a5a0c65ad60fabd7f957285e51e",
    ),
    f"{PACKAGE}.attacks._compiled": (
        "ddd8c86421e34fbde96de87e70488e175702e3a7585e8244041095318279201e",
        "d10d9d55357a7f61e24e358ce670da84e0209b6ebf8b2cbe19383e1b6de8b55c",
    ),
    f"{PACKAGE}.attacks._double_backward": (
        "9b6a88e3873e150d6fee64337b3ba39ddd8dd8e13b10c216859e2958897e865f",
        "1206ea4e1fc2367b171893c0855f8250171224327a0d325937bf88227aff628b",
    ),
    f"{PACKAGE}.attacks._targeted": (
        "c80c7825a7f6cfdf5a9a2e16a80c2812ed73420bd4831cf4f436a9aee5af01dd",
        "958f428dae4da902e102c41383ec72c77c8e8ab8f23a77b1874e82a7333d9cce",
    ),
    f"{PACKAGE}.attacks._unrolled": (
        "77984b41d18f3927bf25c4d612886966e43c98842be362fed9b736471fbf4680",
        "27d5c6d331de5834f1fb69688cab8a88afbf327120619a0b7d09614837f1628d",
    ),
    f"{PACKAGE}.attacks.feature_collision": (
        "74fb4a578137434d6f385773f401326e87b5bbb890608912c8cc1c1ebc9699e6",
        "c87a36ad37764f36f8829c5e8409a704bca966c7f121f5e03d09ad9ff7e0dd0a",
    ),
    f"{PACKAGE}.attacks.gradient_matching": (
        "532cf9c33ac7684a50faf63559ad45d00348065b79b91ff928bf31c031ae9e95",
        "a8741f03f200d57b75f0fb638670173811eecd1cfc399f7af6e0baf507959adf",
    ),
    f"{PACKAGE}.augment._colour": (
        "62e2bfa814629d765ceeb287be61132e2871ce38bb8a106e6a5805130c8981a7",
        "58c89c86a76bddfaccc45ff4e9dff3fd1b8b998b3ff0045aa99149063a917b52",
    ),
    f"{PACKAGE}.augment.bilinear_crop": (
        "c747621ea708622888039b75bce3244f95c4bb320add49c9b060b89892144cb5",
        "aeb7549c1382ba190cb6ab92af4266dde39ca3c40ba16d4c2805cb6808a16c75",
    ),
    f"{PACKAGE}.augment.crop": (
        "bb4e62426813d2534a5d90be664d8ef4f8578ac27f4f339a932c37735af1e929",
        "9bbec0fc12567ba596af7fa423c4e103ac4bf3b66cb8f1210c0723fb33e30e6f",
    ),
    f"{PACKAGE}.augment.maxup": (
        "3ba1cb2309ec4c33afe89fdf9aec7950abf1f444ade3eae84328b344da293efc",
        "a34e95d6460a1a8408382d7dc67839684bc5c8a22064d26cde02c1fbee84bd7a",
    ),
    f"{PACKAGE}.data._decoded": (
        "d24fd0460b528bc39edebb8d61fbda68a93fbfd2b93f11b82778d93e8678dfc9",
        "ba67f207fa6b1501596507aab22df4e937718240567b464b7e8ebb421d377321",
    ),
    f"{PACKAGE}.data._own": (
        "55a072431032972a15e9e54b6f2fae45ba3f12a01e26b1bbf55d790cf7565f3f",
        "3e7d0ee06dfed8023f2ef03b6ac259abe095397195255828215d04011b029970",
    ),
    f"{PACKAGE}.data._types": (
        "7d0aa479d8504b8a33a59abe8197b66cb3c8735a3da2b560687466614c317dd7",
        "5fbd2c24530cef470d31ae06457af78081310ad7b80b4f5f59a254996557829b",
    ),
    f"{PACKAGE}.data._where": (
        "6a492aaa108ffbd0aa834e556747868ef67b7aec67a02b42362af5bf6e0521df",
        "eac298533bb2f48618c6ddb983179a61ff4a93c6b267274b1a3229fc56d0ecae",
    ),
    f"{PACKAGE}.data.digits": (
        "97202cbe13e513834579cffc6e9dfca8dbf9be74faae3e2ddd2afe0c595e8a6d",
        "4cf5d5fc848d1db4b695f045df7a9b89f68ce03d5817756f379e199e45cefcdd",
    ),
    f"{PACKAGE}.experiments.crafting": (
        "98d0a738bd250db5ea112836726d2bf2b2b12325bfa0727b1b0c278ae3636c37",
        "a008eac26b49aa21776747e213fb310fa91582f917cecdd1f927f33698ec935c",
    ),
    f"{PACKAGE}.experiments.trial": (
        "7cb9cde9e1985f2e87f62a18357fe06f8c82602d2f28a25500a8fdff643b0721",
        "32a669e5fcc3bdcef945958da8d4fee001d8892f13b0b4eaef86fb3b66607297",
    ),
    f"{PACKAGE}.experiments.validation": (
        "95a04341d7e9707b0a783355a5c9d151b13f80c24b8e0dd91dbaaadc08ddc8de",
        "ed116b40574e6bfc7dfd4983186f4355a985f4937c6fe50b581a6b866e124a9c",
    ),
    f"{PACKAGE}.filters": (
        "123faedcd74b2817b8137c990b6073908246957a7dd4306069b735a36582729f",
        "2b9d5da812ffc69a42b5c7eb8cbf0aaf3882da8308caf55714295aa924cb0ed3",
    ),
    f"{PACKAGE}.steps.dp_sgd": (
        "ecfd89b4c365c4198e384d163a07cd1051004b8a4ae448fe7097c08be856696a",
        "b1e5952c6f86ce6f599dfa0a27296d22e953a85c0cd3648a757854c843fcc478",
    ),
    f"{PACKAGE}.steps.noisy_sgd": (
        "25586f28c04d903fdce07a373501aa4b7003c6abe5c7d6e38c9a4904aab17c70",
        "1119565c2edca05db1a0d4ef6a6f59fe536834258e5db826f3b0e84d5f7f815d",
    ),
    f"{PACKAGE}.training.muon": (
        "d5736667dcc4b8e587328278eb85929f8ca7ab253fe9c8335980b15e61ed5775",
        "577bf69f61719fd0ecd8fafbe39e513f095be9d725b161a6fe33ac6d14ece267",
    ),
    f"{PACKAGE}.training.numerics": (
        "2dcb52c7fa1ad50304aa5001e2c97f8bdb8367b06577a2cfce610159014fb49c",
        "87033ca6a0dce13281eda5e1d5dd51ff123bf8e9e3af4535166749cd73bd2ae7",
    ),
    f"{PACKAGE}.training.recipe": (
        "f5b7d7e75a712bbee750c567c1adfcc776522bc76646b9b8c15aadaea31b3c8f",
        "8da8356034a79e3ae8222179f15f2664609693b5fe081c1637564440abe116cc",
    ),
}
INSTALLED = tuple(str(Path(sysconfig.get_path(name)).resolve()) for name in ("stdlib", "platstdlib", "purelib", "platlib"))

_CARRIED: dict[str, tuple[str, tuple[str, ...]]] = {}  # `interactive` of classes that another process sent to this one
_DIGESTS: dict[tuple, tuple[str, dict[str, object]]] = {}  # what `_digest` found, by what it was asked
_READ: dict[str, tuple[object, str, frozenset[str]]] = {}  # module -> (its spec, digest of its code, modules that it imports)


def digest(classes: Iterable[type], modules: Iterable[str] = ()) -> str:
    """SHA-256, as 32 hexadecimal digits, of the code of ``classes`` and of named ``modules``, with all that they import."""
    asked = tuple(classes), tuple(modules)
    found, met = _DIGESTS.get(asked, ("", {}))
    if not met or any(_spec(name) is not spec for name, spec in met.items()):
        found, met = _digest(*asked)
        if all(map(_in_a_module, asked[0])):  # what a class of a notebook uses may change at any time
            _DIGESTS[asked] = found, met
    return found


def _digest(classes: tuple[type, ...], modules: tuple[str, ...]) -> tuple[str, dict[str, object]]:
    """(`digest`, the spec of each module that was met on the way: another one if a module was imported or reloaded since)."""
    parts, met, todo = {}, {}, list(modules)
    todo += [cls.__module__ for cls in classes if _in_a_module(cls)]
    owners = {name.partition(".")[0] for name in todo}  # installed packages that a class comes from count as well
    for cls in classes:
        if not _in_a_module(cls):
            name = f"{cls.__module__}.{cls.__qualname__}"
            parts[name], imported = _CARRIED.get(name) or of_notebook(cls)
            todo.extend(imported)
    while todo:
        name = todo.pop()
        if name not in met:
            met[name] = _spec(name)
            if name not in BOOKKEEPING and _counts(name, owners):
                parts[name], imported = _read(name)
                todo.extend(imported)
    return hashlib.sha256(repr(sorted(parts.items())).encode()).hexdigest()[:32], met


def _in_a_module(cls: type) -> bool:
    return cls.__module__ != "__main__" and _file(cls.__module__) is not None


def _spec(name: str):
    """The spec of a module that was imported; another object after each import."""
    return getattr(sys.modules.get(name), "__spec__", None)


def _counts(name: str, owners: set[str]) -> bool:
    """Whether a module has source code that may differ between two runs of one installation."""
    file = _file(name)
    installed = file is not None and (str(file).startswith(INSTALLED) or {"site-packages", "dist-packages"} & set(file.parts))
    return file is not None and (name.partition(".")[0] in owners or not installed)


def _file(name: str) -> Path | None:
    """The source file of a module; None where it has none, as a notebook has not. Nothing is imported to find it."""
    origin = getattr(sys.modules[name], "__file__", None) if name in sys.modules else _found(name)
    return _resolved(str(origin)) if origin and str(origin).endswith(".py") else None


@functools.cache
def _resolved(origin: str) -> Path | None:
    return Path(origin).resolve() if Path(origin).is_file() else None  # a module in a zip file has no file


@functools.cache
def _found(name: str) -> Path | None:
    """Where the source file of a module that is not imported lies, going down from its top-level package."""
    top, *inner = name.split(".")
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return None
    if not inner:
        return Path(spec.origin) if spec and spec.origin else None
    for folder in (spec and spec.submodule_search_locations) or ():
        path = Path(folder, *inner)
        for file in (path.with_suffix(".py"), path / "__init__.py"):
            if file.is_file():
                return file
    return None


def _read(name: str) -> tuple[str, frozenset[str]]:
    spec = _spec(name)
    if name not in _READ or _READ[name][0] is not spec:
        if _edited(spec):
            raise RuntimeError(f"{spec.origin} was edited after this process imported it; restart the process (or kernel)")
        tree = ast.parse(_file(name).read_text(encoding="utf-8"))
        _READ[name] = spec, _known(name, syntax.digest(tree)), frozenset(_imports(tree, name))
    return _READ[name][1:]


def _known(name: str, digest: str) -> str:
    """The digest by which records know the code of a module."""
    now, before = REWRITTEN.get(name, ("", ""))
    return before if digest == now else digest


def _edited(spec) -> bool:
    """Whether a file was edited while this process runs, after it was imported: Python keeps the time of the file beside its byte
    code. Where there is no byte code, nothing can be said.
    """
    if type(getattr(spec, "loader", None)) is not importlib.machinery.SourceFileLoader or not spec.cached:
        return False
    try:
        changed, header = Path(spec.origin).stat().st_mtime, Path(spec.cached).read_bytes()[:12]
    except OSError:
        return False
    by_time = header[4:8] == bytes(4)
    return changed > STARTED and by_time and int.from_bytes(header[8:12], "little") != int(changed) & 0xFFFFFFFF


def _imports(tree: ast.AST, name: str) -> Iterator[str]:
    """The full names of the modules that a module's import statements name, wherever they stand, and of the user's packages above
    it, which are imported first.
    """
    if not name.startswith(f"{PACKAGE}."):
        yield from (name.rsplit(".", depth)[0] for depth in range(1, name.count(".") + 1))
    package = name if _file(name).name == "__init__.py" else name.rpartition(".")[0]
    for node in _statements(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = ".".join(package.split(".")[: len(package.split(".")) - node.level + 1]) if node.level else ""
            base = ".".join(filter(None, [above, node.module]))
            submodules = {alias.name for alias in node.names if _is_module(base, alias.name)}
            yield from (f"{base}.{name}" for name in submodules)
            if any(alias.name not in submodules for alias in node.names):
                yield base


def _statements(tree: ast.AST) -> Iterator[ast.AST]:
    """A syntax tree but for its expressions, in which no import stands."""
    todo = [tree]
    while todo:
        yield (node := todo.pop())
        todo.extend(child for child in ast.iter_child_nodes(node) if not isinstance(child, ast.expr))


@functools.cache
def _is_module(package: str, name: str) -> bool:
    return _found(f"{package}.{name}") is not None


def carry(name: str, digest: tuple[str, tuple[str, ...]]) -> None:
    """Take another process's word for the code of a class that has no source here."""
    _CARRIED[name] = digest


def of_notebook(cls: type) -> tuple[str, tuple[str, ...]]:
    """`interactive.digest` of a class that a notebook or script defines."""
    return interactive.digest(cls, lambda module: _file(module) is not None)
