"""How a Row stands in a table: scalars as they are, instants as microseconds since 1970, all else as JSON."""

import inspect
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import Any, Final, get_type_hints

import msgspec

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)

_to_json: Final = msgspec.json.Encoder()


class Columns:
    """The columns of one Row: `declared` are their names and SQL types, the key first."""

    def __init__(self, row: type[Any]) -> None:
        info = msgspec.inspect.type_info(row)
        assert isinstance(info, msgspec.inspect.StructType) and info.fields, row
        hints = get_type_hints(row, include_extras=True)
        self.key = info.fields[0].name
        self.declared: list[tuple[str, str]] = []
        self.optional = {field.name for field in info.fields if _is_optional(field.type)}
        self._write: list[tuple[int, Callable[[Any], Any]]] = []
        self._read: list[tuple[int, Callable[[Any], Any]]] = []
        self._instants: list[str] = []
        self._instants_at: list[int] = []
        self._floats: list[str] = []
        self._integers: list[str] = []
        for index, field in enumerate(info.fields):
            match _scalar(field.type):
                case "INSTANT":
                    self.declared.append((field.name, "INTEGER"))
                    self._instants.append(field.name)
                    self._instants_at.append(index)
                    self._read.append((index, _instant))
                case "BOOLEAN":
                    self.declared.append((field.name, "INTEGER"))
                    self._read.append((index, bool))
                case "JSON":
                    self.declared.append((field.name, "TEXT"))
                    self._write.append((index, _json))
                    self._read.append((index, msgspec.json.Decoder(hints[field.name]).decode))
                case scalar:
                    self.declared.append((field.name, scalar))
                    if scalar == "INTEGER":
                        self._integers.append(field.name)
                    if scalar == "REAL":
                        self._floats.append(field.name)
        kinds = {parameter.kind for parameter in inspect.signature(row).parameters.values()}
        self._names = None if inspect.Parameter.KEYWORD_ONLY not in kinds else [name for name, _ in self.declared]
        self._row = row
        self._fields = msgspec.structs.astuple
        self._times = _getter(self._instants)

    @property
    def has_json(self) -> bool:
        return any(type is _json for _, type in self._write)

    def canonical(self, row: Any, key: Any) -> Any:
        """`row` as it will be when it is read back, so that a fold is the same with and without it in memory."""
        if type(row) is not self._row:
            raise TypeError(f"{type(row).__name__} is not the view's Row")
        if getattr(row, self.key) != key:
            raise ValueError(f"the row has the key {getattr(row, self.key)!r}, not {key!r}")
        for instant in self._times(row):
            if instant is not None and instant.tzinfo is not UTC:
                return self._in_utc(row)
        return self._with_floats(row) if self._floats else row

    def storable(self, row: Any, key: Any) -> Any:
        """The same, but raises when the row could not be stored: then it is the event's fault that made it so."""
        row = self.canonical(row, key)
        _to_json.encode(row)
        for name in self._integers:
            value = getattr(row, name)
            if value is not None and not -(2**63) <= value < 2**63:
                raise ValueError(f"{name} is {value}, beyond 64 bits")
        self.values(row)
        return row

    def values(self, row: Any) -> Sequence[Any]:
        """What is bound to a statement that names every column."""
        values = list(self._fields(row))
        for index in self._instants_at:
            instant = values[index]
            if instant is not None:
                since = instant - _EPOCH  # as in `microseconds`, which would cost as much again to call
                values[index] = (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
        for index, write in self._write:
            value = values[index]
            if value is not None:
                values[index] = write(value)
        return values

    def row(self, values: Sequence[Any]) -> Any:
        """The row that a statement with every column has found."""
        found = list(values)
        for index, read in self._read:
            if found[index] is not None:
                found[index] = read(found[index])
        if self._names is not None:
            return self._row(**dict(zip(self._names, found, strict=True)))
        return self._row(*found)

    def some(self, columns: Sequence[str], found: list[Sequence[Any]]) -> list[Sequence[Any]]:
        """The values of these columns, in rows that a statement with just these has found."""
        readers = {self.declared[index][0]: read for index, read in self._read}
        read = [(index, readers[name]) for index, name in enumerate(columns) if name in readers]
        if not read:
            return found
        rows: list[Sequence[Any]] = []
        for values in map(list, found):
            for index, convert in read:
                if values[index] is not None:
                    values[index] = convert(values[index])
            rows.append(values)
        return rows

    def _in_utc(self, row: Any) -> Any:
        changed = {}
        for name in self._instants:
            value = getattr(row, name)
            if value is not None and value.tzinfo is not UTC:
                if value.tzinfo is None:
                    raise ValueError(f"{name} has no offset")
                changed[name] = value.astimezone(UTC)
        row = msgspec.structs.replace(row, **changed)
        return self._with_floats(row) if self._floats else row

    def _with_floats(self, row: Any) -> Any:
        for name in self._floats:
            value = getattr(row, name)
            if type(value) is int:
                row = msgspec.structs.replace(row, **{name: float(value)})
            elif value is not None and value - value != 0:
                raise ValueError(f"{name} is {value}, which is no number")
        return row


def _getter(names: Sequence[str]) -> Callable[[Any], tuple[Any, ...]]:
    """All of these attributes of a row."""
    if not names:
        return lambda row: ()
    if len(names) == 1:
        one = attrgetter(names[0])
        return lambda row: (one(row),)
    return attrgetter(*names)


def _is_optional(info: msgspec.inspect.Type) -> bool:
    while isinstance(info, msgspec.inspect.Metadata):
        info = info.type
    types = info.types if isinstance(info, msgspec.inspect.UnionType) else ()
    return any(isinstance(one, msgspec.inspect.NoneType) for one in types)


def _scalar(info: msgspec.inspect.Type) -> str:
    found = msgspec.inspect
    match info:
        case found.Metadata(type=inner):
            return _scalar(inner)
        case found.UnionType(types=types):
            others = [one for one in types if not isinstance(one, found.NoneType)]
            return _scalar(others[0]) if len(others) == 1 else "JSON"
        case found.StrType():
            return "TEXT"
        case found.BytesType():
            return "BLOB"
        case found.IntType():
            return "INTEGER"
        case found.FloatType():
            return "REAL"
        case found.BoolType():
            return "BOOLEAN"
        case found.DateTimeType():
            return "INSTANT"
        case found.LiteralType(values=values) if all(isinstance(value, str) for value in values):
            return "TEXT"
        case _:
            return "JSON"


def bound(parameter: Any) -> Any:
    """A question's parameter as it is compared with a column."""
    return microseconds(parameter) if isinstance(parameter, datetime) else parameter


def microseconds(instant: datetime) -> int:
    since = instant - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def _instant(microseconds: int) -> datetime:
    return _EPOCH + microseconds * _MICROSECOND


def _json(value: Any) -> str:
    return _to_json.encode(value).decode()
