"""The form by which people try a checkpoint, made of what it takes."""

from __future__ import annotations

import base64
import json
from typing import Any

from django import forms

MOST_IMAGE_BYTES, MOST_LETTERS, MOST_WRITTEN = 4 << 20, 100_000, 1000


class TryForm(forms.Form):
    """One field for each column of a row, or one for an image, a text or an array; see trainer_core.standalone.inputs."""

    def __init__(self, schema: dict[str, Any], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.kind, self.columns = str(schema.get("kind")), list(schema.get("columns") or [])
        for number, column in enumerate(self.columns):
            self.fields[f"column-{number}"] = _of_column(column)
        if self.kind == "image":
            hint = (
                f"{schema.get('hint', '')} It is scaled to {schema['height']} × {schema['width']} pixels. At most 4 MB."
            )
            widget = forms.ClearableFileInput(attrs={"accept": "image/*"})
            self.fields["image"] = forms.FileField(label="Image", help_text=hint.strip(), widget=widget)
        elif self.kind in ("text", "prompt"):
            label = "Text" if self.kind == "text" else "Beginning"
            hint = f"The model reads {schema.get('most')} characters at once."
            self.fields["text"] = _area(label, hint)
        elif self.kind == "array":
            shape = schema.get("shape")
            self.fields["array"] = _area(
                "Numbers", f"As JSON, of the shape {shape}." if shape else "As JSON, [1, 2, 3]."
            )
        if self.kind == "prompt":
            self.fields["length"] = forms.IntegerField(
                label="Characters to go on with", min_value=1, max_value=MOST_WRITTEN, initial=200
            )

    def clean_image(self) -> Any:
        image = self.cleaned_data["image"]
        if (image.size or 0) > MOST_IMAGE_BYTES:
            raise forms.ValidationError(
                f"The file has {(image.size or 0) / 1e6:.1f} MB; allowed are 4 MB. Make it smaller."
            )
        return image

    def clean_array(self) -> str:
        text: str = self.cleaned_data["array"]
        try:
            json.loads(text)
        except ValueError as error:
            raise forms.ValidationError(f"This is no JSON: {error}. Type numbers such as [1, 2, 3].") from error
        return text

    def given(self) -> dict[str, Any]:
        """What a trainer is asked about."""
        data = self.cleaned_data
        if self.kind == "row":
            return {"what": {c["name"]: data[f"column-{i}"] for i, c in enumerate(self.columns)}}
        if self.kind == "image":
            return {"what": {"base64": base64.b64encode(data["image"].read()).decode()}}
        if self.kind == "array":
            return {"what": data["array"]}
        return {"what": data["text"], **({"length": data["length"]} if self.kind == "prompt" else {})}


def initial_of(schema: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """What was typed before, so that one value of it can be changed."""
    what = given.get("what")
    if isinstance(what, dict):
        columns = enumerate(schema.get("columns") or [])
        return {f"column-{i}": what[column["name"]] for i, column in columns if column["name"] in what}
    found = {"length": given["length"]} if "length" in given else {}
    return {"text": what, "array": what, **found} if isinstance(what, str) else {}


def _of_column(column: dict[str, Any]) -> forms.Field:
    label = str(column["name"])
    if column["kind"] == "choice":
        choices = [("", "none of them, or missing"), *((one, one) for one in column["choices"])]
        return forms.ChoiceField(label=label, choices=choices, required=False)
    usual = column.get("usual")
    if column["kind"] == "date":
        hint = "A date, with a time where the table has times." if " " in str(usual) else "A date."
        return forms.CharField(label=label, required=False, max_length=60, initial=str(usual), help_text=hint)
    widget = forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off"})
    return forms.CharField(
        label=label, required=False, max_length=60, initial=f"{usual:.4g}" if usual is not None else "", widget=widget
    )


def _area(label: str, hint: str) -> forms.CharField:
    widget = forms.Textarea(attrs={"rows": 3})
    return forms.CharField(label=label, help_text=hint, max_length=MOST_LETTERS, widget=widget)
