"""Forms of models and datasets; what they accept beyond shape is decided by the domain functions."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings

from studio.core.option_fields import UNSET, option_field
from studio.core.stores import StoreError, stores
from studio.registry.arguments import argument_specs, arguments
from studio.registry.choices import Choices, problems, suggest, twins
from studio.registry.errors import RegistryError
from studio.registry.models import DatasetVersion
from studio.registry.publish import MAX_CODE_BYTES

USES = [("number", "Number"), ("category", "Category"), ("date", "Date"), ("ignore", "Leave out")]
AUTO = ("", "As the target suggests")


def _opened() -> str:
    """Where the stores are that are open; nothing when there are none, or their file is damaged."""
    try:
        return ", ".join(store.address for store in stores())
    except StoreError:
        return ""


def _mono(rows: int, placeholder: str) -> forms.Textarea:
    attrs = {"rows": rows, "class": "code-input", "spellcheck": "false", "placeholder": placeholder}
    return forms.Textarea(attrs=attrs)


class NamedForm(forms.Form):
    name = forms.CharField(
        label="Name",
        max_length=200,
        strip=True,
        required=False,
        help_text="Left empty, it is that of the file or class.",
    )
    note = forms.CharField(
        label="Note",
        required=False,
        max_length=10_000,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text="What is different in this version, for those who read it later.",
    )

    def refuse(self, error: RegistryError) -> None:
        """Show what a domain function refused at its field."""
        self.add_error(error.field if error.field in self.fields else None, error.text)


class CodeForm(NamedForm):
    """A .py file, or its text."""

    file = forms.FileField(
        label="Python file",
        required=False,
        widget=forms.ClearableFileInput(attrs={"accept": ".py,text/x-python"}),
        help_text="A .py file, or paste its text below.",
    )
    code = forms.CharField(label="Code", required=False, strip=False)
    class_name = forms.CharField(
        label="Class",
        required=False,
        max_length=100,
        help_text="Only if the file holds several; left empty, you are asked after the inspection.",
    )
    field_order = ["name", "file", "code", "class_name", "note"]

    def __init__(self, *args: Any, what: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["code"].widget = _mono(
            18, f"import lightning as L\nimport torch\n\n\nclass My{what}(L.Lightning{what}):\n    …"
        )

    def clean(self) -> dict[str, Any]:
        """`code` and `filename`, from the file if one was chosen."""
        data = super().clean() or {}
        file: Any = data.get("file")
        data["filename"] = ""
        if file is not None:
            data["filename"] = file.name
            raw = file.read(MAX_CODE_BYTES + 1)
            try:
                data["code"] = raw.decode("utf-8-sig")
            except UnicodeDecodeError:
                self.add_error("file", "The file is not text in UTF-8.")
        return data


class PackageForm(NamedForm):
    path = forms.CharField(
        label="Class",
        max_length=200,
        widget=forms.TextInput(attrs={"placeholder": "mylib.models:Net", "class": "font-monospace"}),
        help_text="A LightningModule, or a plain nn.Module or a function that makes one, of a package that is installed where the workers run.",
    )
    field_order = ["name", "path", "note"]


class ProjectForm(NamedForm):
    """A zip of several Python files."""

    file = forms.FileField(
        label="Zip file",
        widget=forms.ClearableFileInput(attrs={"accept": ".zip,application/zip"}),
        help_text="The project as it is: Python files in their folders, and text that they read. At most 16 MB.",
    )
    class_name = forms.CharField(
        label="Class",
        required=False,
        max_length=200,
        widget=forms.TextInput(attrs={"placeholder": "src/models/net.py:Net", "class": "font-monospace"}),
        help_text="As file:Class; left empty, the files are searched, and you are asked if there are several.",
    )
    field_order = ["name", "file", "class_name", "note"]


class GitForm(NamedForm):
    url = forms.CharField(
        label="Repository",
        max_length=500,
        widget=forms.TextInput(
            attrs={"placeholder": "https://example.org/team/project.git", "class": "font-monospace"}
        ),
        help_text="An https address that can be read without a password.",
    )
    revision = forms.CharField(
        label="Commit, tag or branch",
        required=False,
        max_length=200,
        help_text="The commit that it names now is kept; left empty, the newest one of the main branch.",
    )
    class_name = forms.CharField(
        label="Class",
        required=False,
        max_length=200,
        widget=forms.TextInput(attrs={"placeholder": "src/models/net.py:Net", "class": "font-monospace"}),
        help_text="As file:Class; left empty, the files are searched, and you are asked if there are several.",
    )
    field_order = ["name", "url", "revision", "class_name", "note"]


class TableForm(NamedForm):
    """A file (in chunks by script, or plain up to 16 MB) or pasted text."""

    upload = forms.UUIDField(required=False, widget=forms.HiddenInput)
    file = forms.FileField(label="File", required=False)
    text = forms.CharField(
        label="Or paste it",
        required=False,
        strip=False,
        widget=_mono(6, "height,width,kind\n1.2,3.4,a\n2.3,4.5,b"),
    )
    address = forms.CharField(
        label="Or its address",
        required=False,
        max_length=2000,
        widget=forms.TextInput(attrs={"class": "font-monospace", "placeholder": "https://example.org/data"}),
    )
    field_order = ["name", "file", "upload", "address", "text", "note"]

    def __init__(self, *args: Any, pasted: bool = True, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        roots = ", ".join(map(str, settings.DATA_ROOTS))
        words = ["An https address that a worker fetches the file from, once"]
        words += [f"the path of a file on the server, below {roots}, where it stays"] if roots else []
        words += [f"the address of a file below {opened}, which stays there"] if (opened := _opened()) else []
        self.fields["address"].help_text = f"{'; or '.join(words)}."
        if not pasted:  # images and arrays have no text
            del self.fields["text"]

    def clean(self) -> dict[str, Any]:
        """`source` is what the domain function takes: upload id, or bytes with a filename."""
        data = super().clean() or {}
        file: Any = data.get("file")
        text: str = data.get("text") or ""
        data["source"], data["filename"] = {}, ""
        if data.get("address"):
            if data.get("upload") or file is not None or text.strip():
                self.add_error("address", "Give a file, a text or an address, not two of them.")
            return data
        if data.get("upload"):
            return data
        if file is not None:
            data["source"], data["filename"] = {"data": file.read()}, file.name
        elif text.strip():
            data["source"] = {"data": text.replace("\r\n", "\n").encode("utf-8", "replace")}
        elif not self.errors:
            self.add_error(
                "file",
                "Choose a file, paste its text or give its address."
                if "text" in self.fields
                else "Choose a file, or give its address.",
            )
        return data

    @property
    def wanted(self) -> dict[str, Any]:
        """Decisions that are made before anybody has looked into the file."""
        return {}


class TextForm(TableForm):
    task = forms.ChoiceField(
        label="What a model learns from it",
        required=False,
        choices=[
            ("", "As the lines suggest"),
            ("language", "To write the next character"),
            ("classification", "To tell labelled lines apart"),
        ],
        help_text="A labelled line is label, tab, text; or text, tab, label; or __label__name and the text.",
    )
    field_order = ["name", "file", "upload", "address", "text", "task", "note"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["text"].widget.attrs["placeholder"] = "Shall I compare thee to a summer's day? …"

    @property
    def wanted(self) -> dict[str, Any]:
        return {"task": self.cleaned_data["task"]} if self.cleaned_data.get("task") else {}


class ChoicesForm(forms.Form):
    """The wizard's decisions about a table; its fields follow the columns."""

    target = forms.ChoiceField(label="Target", help_text="The column that the model learns to predict.")
    task = forms.ChoiceField(
        label="Task",
        required=False,
        choices=[
            AUTO,
            ("classification", "Classification: one of several classes"),
            ("regression", "Regression: a number"),
        ],
    )
    split = forms.ChoiceField(
        label="Split",
        required=False,
        choices=[
            AUTO,
            ("shuffled", "Shuffled"),
            ("stratified", "Stratified: each class spread evenly"),
            ("grouped", "Grouped: equal values of a column stay together"),
            ("time", "By time: the latest rows are kept back"),
        ],
    )
    split_by = forms.ChoiceField(
        label="Column to split by",
        required=False,
        help_text="Only for grouped (a person, a site, …) and by time (a date or number).",
    )
    val_fraction = forms.FloatField(
        label="Validation share",
        initial=0.2,
        widget=forms.NumberInput(attrs={"step": "0.01", "min": "0", "max": "0.9"}),
        help_text="Rows kept back to see how well it works on what it has not learned from.",
    )
    test_fraction = forms.FloatField(
        label="Test share", initial=0.0, widget=forms.NumberInput(attrs={"step": "0.01", "min": "0", "max": "0.9"})
    )
    seed = forms.IntegerField(label="Seed of the split", initial=0, help_text="The same seed gives the same parts.")
    drop_missing_target = forms.BooleanField(label="Leave out rows without a target", required=False)
    shown_target = forms.CharField(required=False, widget=forms.HiddenInput)  # for which the uses were suggested

    def __init__(
        self, data: Any = None, *, schema: dict[str, Any], known: dict[str, Any] | None = None, name: str = ""
    ) -> None:
        self.schema, self.columns = schema, schema["columns"]
        guess = suggest(schema, known, name)
        initial = {**guess.to_dict(), "task": "", "split": "", "shown_target": guess.target}
        if known:
            initial |= {"task": guess.task, "split": guess.split}
        super().__init__(data, initial=initial)
        target = self.fields["target"]
        assert isinstance(target, forms.ChoiceField)
        target.choices = [(c["name"], c["name"]) for c in self.columns]
        split_by = self.fields["split_by"]
        assert isinstance(split_by, forms.ChoiceField)
        split_by.choices = [("", "none"), *((c["name"], c["name"]) for c in self.columns)]
        defaults = suggest(schema).uses
        for number, column in enumerate(self.columns):
            name = column["name"]
            self.fields[f"use_{number}"] = forms.ChoiceField(
                label=f"Use of {name}",
                choices=USES,
                initial=guess.uses.get(name) or defaults.get(name) or ("number" if "mean" in column else "category"),
            )

    def clean(self) -> dict[str, Any]:
        """`choices` holds the checked Choices."""
        data = super().clean() or {}
        if self.errors:
            return data
        uses = {c["name"]: data[f"use_{n}"] for n, c in enumerate(self.columns) if c["name"] != data["target"]}
        if data["shown_target"] not in ("", data["target"]):
            uses |= dict.fromkeys(twins(self.schema, data["target"]), "ignore")
        wanted = {
            name: data[name] for name in ("target", "val_fraction", "test_fraction", "seed", "drop_missing_target")
        }
        wanted |= {name: data[name] for name in ("task", "split", "split_by") if data[name]}
        choices = suggest(self.schema, {**wanted, "uses": uses})
        for field, text in problems(self.schema, choices).items():
            self.add_error(self._field_of(field), text)
        data["choices"] = choices
        return data

    @property
    def rows(self) -> list[tuple[dict[str, Any], forms.BoundField]]:
        """Each column with its field, for the table of the page."""
        return [(column, self[f"use_{number}"]) for number, column in enumerate(self.columns)]

    @property
    def checked(self) -> Choices:
        return self.cleaned_data["choices"]

    def _field_of(self, problem: str) -> str | None:
        if problem.startswith("use:"):
            name = problem.removeprefix("use:")
            return next(f"use_{n}" for n, c in enumerate(self.columns) if c["name"] == name)
        return problem if problem in self.fields else None


class ArgumentsForm(forms.Form):
    """What somebody decides about images, arrays or labelled lines; its fields follow what the look suggested."""

    def __init__(self, data: Any = None, *, version: DatasetVersion) -> None:
        self.version = version
        super().__init__(data)
        for name, spec in argument_specs(version).items():
            self.fields[name] = option_field(spec, initial=spec.default)

    def clean(self) -> dict[str, Any]:
        """`given` holds the values that were set."""
        data = super().clean() or {}
        if self.errors:
            return data
        data["given"] = {name: value for name, value in data.items() if value is not UNSET}
        for name, text in arguments(self.version, data["given"])[1].items():
            self.add_error(name if name in self.fields else None, text)
        return data

    @property
    def checked(self) -> dict[str, Any]:
        return self.cleaned_data["given"]


class ClassForm(forms.Form):
    class_name = forms.ChoiceField(label="Class", widget=forms.RadioSelect)

    def __init__(self, data: Any = None, *, classes: list[dict[str, Any]]) -> None:
        super().__init__(data)
        field = self.fields["class_name"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [(c["name"], c["name"]) for c in classes]


class NoteForm(forms.Form):
    note = forms.CharField(required=False, max_length=10_000, widget=forms.Textarea(attrs={"rows": 2}))


class BeginUploadForm(forms.Form):
    filename = forms.CharField(max_length=255)
    size_bytes = forms.IntegerField(min_value=0)
    sha256 = forms.CharField(max_length=64, required=False)
