"""Reads the package's sources for the English that users see: what errors, warnings, notes and reasons say.

A text is read where it is written: as a constant, an f-string, a sum, a choice (``a if b else c``), a name that was
given one, or what a function of the package returns. A *gap* of a text is *spoken* where what fills it is a text too.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Final

GAP: Final = "{}"
TOLD: Final = frozenset({"warn", "_warn", "_tell", "on_warning", "progress", "translate", "phrase"})
"""Functions whose first argument is shown; so is that of a method ``tell``, while the function takes a key."""
KEPT: Final = frozenset({"notes", "note", "left_out", "warnings", "reason"})
"""Lists and mappings of texts that are shown later."""
SAYS: Final = frozenset({"describe", "contradictions"})
"""Functions whose results are shown."""
NAMES: Final = frozenset({"name", "path", "file", "library", "to", "said", "command", "package", "cls"})
"""Parameters that are filled by names, which are the same in every language."""
_CODE: Final = re.compile(r"pip install|\(\w+, |--[\w-]+$|[\w/]+\.\w+$|data, $")


@dataclass(frozen=True)
class Gap:
    """A gap.

    Attributes:
        texts: those of the code that can fill it.
        is_heard: whether the text of a caught error fills it, the system's included.
        may_be_heard: whether that error may be of the package.
    """

    texts: tuple[Template, ...] = ()
    is_heard: bool = False
    may_be_heard: bool = False

    @property
    def is_spoken(self) -> bool:
        """Whether what fills it must be translated."""
        return self.is_heard or any(_is_prose(text) and not is_word(key_of(text)) for text in self.texts)

    @property
    def may_be_spoken(self) -> bool:
        """Whether what fills it may be translated: a word of ours, where a name of the user's cannot stand."""
        return self.is_spoken or self.may_be_heard or bool(self.texts)


Template = tuple[str | Gap, ...]


@dataclass(frozen=True)
class English:
    """A text of the code.

    Attributes:
        key: with ``{}`` for its gaps.
        spoken: the numbers of the gaps whose filling must be translated.
        may_be_spoken: the numbers of those whose filling may be.
        place: the file and line.
    """

    key: str
    spoken: frozenset[int]
    may_be_spoken: frozenset[int]
    place: str


@dataclass(eq=False)
class Module:
    """A module's tree, and what its names stand for.

    Attributes:
        place: its path inside the package.
        nodes: everything in it, with the function that it is in.
        around: its functions, and which each is in.
        lambdas: the functions that are given to names.
        imports: the modules of the package that its names come from.
    """

    place: str
    tree: ast.Module
    nodes: list[tuple[ast.AST, ast.FunctionDef | None]] = field(default_factory=list)
    around: dict[ast.FunctionDef, ast.FunctionDef | None] = field(default_factory=dict)
    lambdas: dict[str, list[ast.Lambda]] = field(default_factory=lambda: defaultdict(list))
    imports: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path, folder: Path) -> Module:
        """Parse a module."""
        module = cls(path.relative_to(folder).as_posix(), ast.parse(path.read_text("utf-8")))
        module._walk(module.tree, None)
        for node, _ in module.nodes:
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("epochal."):
                place = (node.module or "").removeprefix("epochal.").replace(".", "/") + ".py"
                module.imports |= {alias.asname or alias.name: place for alias in node.names}
            if isinstance(node, ast.AnnAssign) and isinstance(node.value, ast.Lambda):
                module.lambdas[_last(node.target)].append(node.value)
        return module

    def _walk(self, node: ast.AST, function: ast.FunctionDef | None) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef):
                self.around[child] = function
                self._walk(child, child)
            else:
                self.nodes.append((child, function))
                self._walk(child, function)

    @cached_property
    def _by_function(self) -> dict[ast.FunctionDef | None, list[ast.AST]]:
        parts: dict[ast.FunctionDef | None, list[ast.AST]] = defaultdict(list)
        for node, function in self.nodes:
            parts[function].append(node)
        return parts

    @property
    def folder(self) -> str:
        """The folder that it is in."""
        return self.place.rpartition("/")[0]

    def inside(self, function: ast.FunctionDef | None) -> list[ast.AST]:
        """Return what is in a function, without the functions inside it; what is in none for ``None``."""
        return self._by_function[function]

    def functions(self, name: str) -> list[ast.FunctionDef]:
        """Return the functions of a name, the last one first."""
        return [function for function in self.around if function.name == name][::-1]


Scope = tuple[Module, ast.FunctionDef | None]


class Reader:
    """Reads all modules below a folder."""

    def __init__(self, folder: Path) -> None:
        """Parse the modules; nothing is imported."""
        self.modules = [Module.read(path, folder) for path in sorted(folder.rglob("*.py"))]
        self._errors = {"ValueError", "OSError", "EpochalError"}
        self._functions: dict[str, list[tuple[Module, ast.FunctionDef]]] = defaultdict(list)
        self._calls: dict[str, list[tuple[ast.Call, Scope]]] = defaultdict(list)
        self._methods: set[int] = set()
        self._open: set[int] = set()
        self._circles: set[int] = set()
        self._known: dict[int, tuple[ast.AST, list[Template]]] = {}

        for module in self.modules:
            for own in module.around:
                self._functions[own.name].append((module, own))
            for node, function in module.nodes:
                if isinstance(node, ast.Call):
                    self._calls[_last(node.func)].append((node, (module, function)))
                if isinstance(node, ast.ClassDef):
                    self._methods |= {id(one) for one in node.body}
                    if any(_last(base).endswith(("Error", "Exception")) for base in node.bases):
                        self._errors.add(node.name)

    def texts(self) -> Iterator[English]:
        """Return each text, and those that fill its gaps."""
        for module in self.modules:
            for node, function in module.nodes:
                for expression in self._shown(node, function):
                    for template in self._read(expression, (module, function)):
                        yield from _written(template, f"{module.place}:{getattr(node, 'lineno', 0)}")

    def _shown(self, node: ast.AST, function: ast.FunctionDef | None) -> Iterator[ast.expr]:
        """Return the expressions in a statement or call that are shown, now or later."""
        match node:
            case ast.Call(func=ast.Name(id="OSError"), args=[_, text]):
                yield text
            case ast.Call(func=func, args=[text, *_]) if _last(func) in TOLD | self._errors:
                yield text
            case ast.Raise(exc=ast.Call(func=ast.Name(id=name), args=[text, *_])) if name.islower():
                yield text  # of a class that the caller gives
            case (
                ast.Call(func=ast.Name(id="Field"), args=[text, *_])
                | ast.Call(func=ast.Name(id="matching"), args=[_, text])
            ):
                yield text  # what a value of a file has to be, said of one that is not
            case ast.Call(func=ast.Attribute(attr="tell"), args=[text]):
                yield text
            case ast.Call(func=ast.Attribute(value=value, attr="append" | "extend"), args=[text]) if (
                _last(value) in KEPT
            ):
                yield text
            case ast.Assign(targets=[target], value=value) if any(_last(one) in KEPT for one in _flat(target)):
                yield value
            case ast.AnnAssign(target=target, value=ast.expr() as value) if _last(target) in KEPT:
                yield value
            case ast.keyword(arg=name, value=value) if name in KEPT:
                yield value
            case ast.Dict(keys=keys, values=values):
                for key, value in zip(keys, values, strict=True):
                    if isinstance(key, ast.Constant) and key.value in KEPT:
                        yield value
            case ast.Return(value=ast.expr() as value) if function is not None and function.name in SAYS:
                yield value

    # --- what an expression says ---

    def _read(self, node: ast.AST, scope: Scope) -> list[Template]:
        """Return the texts that an expression can be; none where it is no text of the code.

        What leads back to an expression that is being read adds nothing to it, and is read again elsewhere.
        """
        key = id(node)
        if key in self._open:
            self._circles.add(key)
            return []
        if key in self._known:
            return self._known[key][1]

        around, self._circles = self._circles, set()
        self._open.add(key)
        texts = list(dict.fromkeys(self._any(node, scope)))
        self._open.discard(key)
        self._circles.discard(key)
        if not self._circles:
            self._known[key] = node, texts  # the node too: another one would get the number of one that is gone
        self._circles |= around
        return texts

    def _any(self, node: ast.AST, scope: Scope) -> Iterator[Template]:
        match node:
            case ast.Constant(value=str(text)):
                yield (text,)
            case ast.JoinedStr(values=values):
                before = [None, *values]
                for parts in product(*(self._part(*pair, scope) for pair in zip(values, before, strict=False))):
                    yield _joined(parts)
            case ast.BinOp(op=ast.Add(), left=left, right=right):
                lefts, rights = self._read(left, scope), self._read(right, scope)
                if lefts or rights:
                    for pair in product(lefts or [(Gap(),)], rights or [(Gap(),)]):
                        yield _joined(pair)
            case ast.BinOp(op=ast.Mult(), left=ast.Constant(value=str(text))):
                yield ("",)
                yield (text,)
            case ast.IfExp(body=body, orelse=orelse):
                yield from self._read(body, scope)
                yield from self._read(orelse, scope)
            case ast.BoolOp(values=values):
                for value in values:
                    yield from self._read(value, scope)
            case ast.Tuple(elts=values) | ast.List(elts=values):
                for value in values:
                    yield from self._read(value.value if isinstance(value, ast.Starred) else value, scope)
            case ast.Dict(values=values):
                for value in values:
                    yield from self._read(value, scope)
            case ast.ListComp(elt=value) | ast.GeneratorExp(elt=value) | ast.DictComp(value=value):
                yield from self._read(value, scope)
            case ast.Subscript(value=value) | ast.Attribute(value=value, attr="format"):
                yield from self._read(value, scope)
            case ast.Lambda(body=body):
                yield from self._read(body, scope)
            case ast.Name(id=name):
                yield from self._name(name, scope)
            case ast.Call():
                yield from self._call(node, scope)

    def _part(self, node: ast.expr, before: ast.expr | None, scope: Scope) -> list[Template]:
        """Return what a part of an f-string can be: a choice of texts is written out, and one right after a gap; all
        else is a gap.
        """
        if not isinstance(node, ast.FormattedValue):
            return self._read(node, scope)
        value = node.value
        if isinstance(before, ast.FormattedValue) and (texts := self._read(value, scope)):
            return texts
        if isinstance(value, ast.IfExp):
            branches = [self._read(branch, scope) for branch in (value.body, value.orelse)]
            if all(branches):
                return [template for branch in branches for template in branch]
        return [(self._gap(value, scope),)]

    def _gap(self, value: ast.expr, scope: Scope) -> Gap:
        texts = tuple(template for template in self._read(value, scope) if _letters(template))
        parts = list(ast.walk(value))
        caught = dict(_caught(scope[1])) if scope[1] else {}
        heard = [caught[one.id] for one in parts if isinstance(one, ast.Name) and one.id in caught]
        is_system = any(isinstance(one, ast.Attribute) and one.attr in ("strerror", "reason") for one in parts)
        is_own = any(kinds & (self._errors - {"OSError", "ValueError"}) for kinds in heard)
        return Gap(texts, is_own or is_system, any(kinds & {"ValueError", "Exception"} for kinds in heard))

    def _name(self, name: str, scope: Scope) -> Iterator[Template]:
        module, place = scope
        while True:
            found = [value for node in module.inside(place) for value in _values(node, name, module)]
            for value in found:
                yield from self._read(value, (module, place))
            if place is not None and name in _parameters(place):
                if name not in NAMES:
                    yield from self._arguments(place, name, module)
                return
            if found or place is None:
                return
            place = module.around[place]

    def _arguments(self, function: ast.FunctionDef, name: str, module: Module) -> Iterator[Template]:
        """Return the texts that callers give for a parameter, and its default."""
        arguments = function.args
        defaults = dict(zip([one.arg for one in arguments.args][::-1], arguments.defaults[::-1], strict=False))
        if name in defaults:
            yield from self._read(defaults[name], (module, function))
        is_alone = len(self._functions[function.name]) == 1
        for call, scope in self._calls[function.name]:
            is_here = module is scope[0] or scope[0].imports.get(function.name) == module.place
            if not (is_alone or is_here or isinstance(call.func, ast.Attribute)):
                continue
            value = _argument(call, function, name)
            if value is not None:
                yield from self._read(value, scope)

    def _call(self, call: ast.Call, scope: Scope) -> Iterator[Template]:
        """Return what a call says: of texts that it joins or keeps, or what the function that is meant returns."""
        match call:
            case ast.Call(func=ast.Attribute(value=joint, attr="join"), args=[parts]):
                yield from self._read(parts, scope)
                if isinstance(joint, ast.Constant) and re.search("[a-z]", str(joint.value)):
                    yield (Gap(may_be_heard=True), str(joint.value), Gap(may_be_heard=True))
            case ast.Call(func=ast.Name(id="counted"), args=[_, ast.Constant(value=str(thing))]):
                yield from ((Gap(), f" {thing}"), (Gap(), f" {thing}s"))
            case ast.Call(func=ast.Name(id="tuple" | "list"), args=[value]):
                yield from self._read(value, scope)
            case ast.Call(func=ast.Name(id="filter") | ast.Attribute(attr="fromkeys"), args=[_, value]):
                yield from self._read(value, scope)
            case ast.Call(func=func):
                for module, function in self._meant(_last(func), scope[0], on_object=isinstance(func, ast.Attribute)):
                    yield from self._returned(module, function)

    def _returned(self, module: Module, function: ast.FunctionDef | ast.Lambda) -> Iterator[Template]:
        if isinstance(function, ast.Lambda):
            yield from self._read(function.body, (module, None))
        elif _returns_text(function):
            for node in module.inside(function):
                if isinstance(node, ast.Return | ast.Yield | ast.YieldFrom) and node.value is not None:
                    yield from self._read(node.value, (module, function))

    def _meant(
        self, name: str, module: Module, *, on_object: bool
    ) -> Iterator[tuple[Module, ast.FunctionDef | ast.Lambda]]:
        """Return the functions that a name can stand for in a module: its own, or those that it imports.

        What is called on an object is a method, if there is one of that name, or a function that its class was given.
        """
        known = self._functions[name]
        if on_object:
            yield from [one for one in known if id(one[1]) in self._methods] or known
            near = (one for one in self.modules if one.folder == module.folder)
            yield from ((one, function) for one in near for function in one.lambdas[name])
        elif own := module.functions(name):
            yield module, own[0]
        else:
            yield from [one for one in known if one[0].place == module.imports.get(name)] or known


def key_of(template: Template) -> str:
    """Return a text with ``{}`` for its gaps."""
    return "".join(part if isinstance(part, str) else GAP for part in template)


def is_word(key: str) -> bool:
    """Return whether a text is a single word, which may be a name."""
    return re.fullmatch(r"[\w.-]+", key) is not None


def _written(template: Template, place: str) -> Iterator[English]:
    gaps = [part for part in template if isinstance(part, Gap)]
    if _is_prose(template) or any(gap.is_spoken for gap in gaps):
        spoken = frozenset(i for i, gap in enumerate(gaps) if gap.is_spoken)
        may_be = frozenset(i for i, gap in enumerate(gaps) if gap.may_be_spoken)
        yield English(key_of(template), spoken, may_be, place)
    for gap in gaps:
        for text in gap.texts:
            yield from _written(text, place)


def _is_prose(template: Template) -> bool:
    """Return whether there is a sentence or a word to translate: no flag, path, value or command."""
    text = key_of(template)
    return bool(re.search(r"[A-Za-z]{2}", text)) and not _CODE.match(text)


def _joined(parts: Iterable[Template]) -> Template:
    """Return templates one after another, neighbouring constants as one."""
    result: list[str | Gap] = []
    for part in (one for template in parts for one in template):
        if isinstance(part, str) and result and isinstance(result[-1], str):
            result[-1] += part
        else:
            result.append(part)
    return tuple(result)


def _letters(template: Template) -> bool:
    return any(isinstance(part, str) and re.search("[A-Za-z]", part) for part in template)


def _last(node: ast.AST | None) -> str:
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case ast.Subscript(value=value):
            return _last(value)
    return ""


def _caught(function: ast.FunctionDef) -> Iterator[tuple[str, frozenset[str]]]:
    """Return the names of caught errors, and of what kinds they are."""
    for handler in ast.walk(function):
        if isinstance(handler, ast.ExceptHandler) and handler.name and handler.type:
            yield handler.name, frozenset(map(_last, _flat(handler.type)))


def _flat(node: ast.expr) -> Iterator[ast.expr]:
    if isinstance(node, ast.Tuple):
        for one in node.elts:
            yield from _flat(one)
    else:
        yield node


def _parameters(function: ast.FunctionDef | None) -> list[str]:
    if function is None:
        return []
    arguments = function.args
    return [one.arg for one in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]


def _argument(call: ast.Call, function: ast.FunctionDef, name: str) -> ast.expr | None:
    for keyword in call.keywords:
        if keyword.arg == name:
            return keyword.value
    names = [one for one in _parameters(function) if one not in ("self", "cls")]
    place = names.index(name) if name in names else len(call.args)
    return call.args[place] if place < len(call.args) else None


def _returns_text(function: ast.FunctionDef) -> bool:
    if function.returns is None:
        return False
    returned = re.sub(r"(dict|Mapping)\[str, Any\]", "", ast.unparse(function.returns))  # values, not texts
    return "str" in returned


def _values(node: ast.AST, name: str, module: Module) -> Iterator[ast.expr]:
    """Return what a statement gives to a name."""
    match node:
        case ast.Assign(targets=targets, value=value):
            for target in targets:
                yield from _given(target, value, name)
        case ast.AnnAssign(target=target, value=ast.expr() as value) | ast.AugAssign(target=target, value=value):
            yield from _given(target, value, name)
        case ast.NamedExpr(target=target, value=value):
            yield from _given(target, value, name)
        case ast.For(target=target, iter=values) | ast.comprehension(target=target, iter=values):
            yield from (one for value in _elements(values, module) for one in _given(target, value, name))


def _elements(values: ast.expr, module: Module) -> Iterator[ast.expr]:
    """Return what a loop goes over: elements that are written out, those of a mapping of the module, or of lists."""
    match values:
        case ast.Tuple(elts=elements) | ast.List(elts=elements):
            yield from elements
        case ast.Call(func=ast.Name(id="zip"), args=lists):
            yield ast.Tuple(lists, ast.Load())
        case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="items")):
            for node in module.tree.body:
                for mapping in _values(node, name, module):
                    if isinstance(mapping, ast.Dict):
                        for pair in zip(mapping.keys, mapping.values, strict=True):
                            yield ast.Tuple([one for one in pair if one is not None], ast.Load())


def _given(target: ast.expr, value: ast.expr, name: str) -> Iterator[ast.expr]:
    if isinstance(target, ast.Name) and target.id == name:
        yield value
    elif isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple) and len(target.elts) == len(value.elts):
        for one, its in zip(target.elts, value.elts, strict=True):
            yield from _given(one, its, name)
    elif isinstance(target, ast.Tuple) and isinstance(value, ast.IfExp):
        yield from _given(target, value.body, name)
        yield from _given(target, value.orelse, name)
    elif isinstance(target, ast.Subscript) and _last(target.value) == name:
        yield value
