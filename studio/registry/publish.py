"""Making models and datasets from code or an installed package; each gives a version to inspect."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from studio.accounts.access import may_run_code
from studio.accounts.audit import record
from studio.accounts.models import Project, User
from studio.core.download import safe_name
from studio.registry.errors import CodeRightMissing, RegistryError
from studio.registry.git import checked_repository, checked_revision
from studio.registry.models import Dataset, DatasetVersion, Model, ModelVersion, Version, VersionState
from studio.registry.projects import checked_class_ref, project_text
from studio.registry.versions import add_version, inspect_again, queue_inspection, settle

MAX_NAME_CHARS = 80
MAX_CODE_BYTES = 1 << 20
_REFUSED_CATEGORIES = ("Cc", "Cs", "Co", "Zl", "Zp")
_PACKAGE_PATH = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")
_CLASS_NAME = re.compile(r"[^\W\d]\w{0,99}")


def create_model_from_code(
    *, project: Project, user: User, name: str, code: str, filename: str = "", class_name: str = "", note: str = ""
) -> ModelVersion:
    """A version of the project's model of that name (made if there is none), for a worker to inspect.

    The same code for the same model gives the version that is there. RegistryError names what does not do,
    CodeRightMissing is raised for somebody who may not run code.
    """
    return _register_code(Model, project, user, name, code, filename or "model.py", class_name, note, {})


def create_model_from_project(
    *, project: Project, user: User, name: str, data: bytes, filename: str = "", class_name: str = "", note: str = ""
) -> ModelVersion:
    """A version that is a class of a zipped project of several files; `class_name` is `path.py:Class`, or empty."""
    return _register_project(Model, project, user, name, data, filename, class_name, note, {})


def create_model_from_git(
    *, project: Project, user: User, name: str, url: str, revision: str = "", class_name: str = "", note: str = ""
) -> ModelVersion:
    """A version from one commit of a repository, which a worker fetches and then keeps like a zipped project."""
    _check_right(user, project)
    url, revision, ref = checked_repository(url), checked_revision(revision), checked_class_ref(class_name)
    info = {"git": {"url": url, "revision": revision}, "wanted": {"class": ref} if ref else {}}
    digest = hashlib.sha256(f"git {url} {revision} {ref}".encode()).hexdigest()
    with transaction.atomic():
        model = entry_named(Model, project, user, name)
        if known := model.versions.filter(sha256=digest, state=VersionState.INSPECTING).first():
            return known
        version: ModelVersion = add_version(
            model, source=Version.Source.PROJECT, ref=ref, sha256=digest, note=note, info=info, created_by=user
        )
        record(user, "model.register", version, url=url, revision=revision)
    return version


def create_dataset_from_project(
    *, project: Project, user: User, name: str, data: bytes, filename: str = "", class_name: str = "", note: str = ""
) -> DatasetVersion:
    """A LightningDataModule of a zipped project; the same rules as for a model's project."""
    kind = {"kind": Dataset.Kind.CODE}
    return _register_project(Dataset, project, user, name, data, filename, class_name, note, kind)


def create_model_from_package(*, project: Project, user: User, name: str, path: str, note: str = "") -> ModelVersion:
    """A version that is the class `pkg.module:Class` of a package installed beside the studio."""
    _check_right(user, project)
    path = checked_package_path(path)
    digest = hashlib.sha256(f"package {path}".encode()).hexdigest()
    with transaction.atomic():
        model = entry_named(Model, project, user, name)
        if known := model.versions.filter(source=Version.Source.PACKAGE, ref=path).first():
            return _known(known)
        version: ModelVersion = add_version(
            model, source=Version.Source.PACKAGE, ref=path, sha256=digest, note=note, created_by=user
        )
        record(user, "model.register", version, path=path)
    return version


def create_dataset_from_code(
    *, project: Project, user: User, name: str, code: str, filename: str = "", class_name: str = "", note: str = ""
) -> DatasetVersion:
    """A LightningDataModule in code; the same rules as for a model's code."""
    kind = {"kind": Dataset.Kind.CODE}
    return _register_code(Dataset, project, user, name, code, filename or "data.py", class_name, note, kind)


def choose_class(*, version: ModelVersion | DatasetVersion, user: User, class_name: str) -> bool:
    """Go on with one of several classes that an inspection found; False if the version no longer waits for it."""
    _check_right(user, _project_of(version))
    names = [c["name"] for c in version.info.get("classes", [])]
    if class_name not in names:
        raise RegistryError(f"Choose one of {', '.join(names)}.", field="class_name")
    with transaction.atomic():
        info = {**version.info, "wanted": {"class": class_name}}
        chosen = settle(
            version, VersionState.INSPECTING, was=VersionState.CHOOSING, ref=class_name, info=info, inspections=0
        )
        if chosen:
            queue_inspection(version)
    return chosen


def version_with_other_choices(*, version: DatasetVersion, user: User) -> DatasetVersion:
    """The next version of the same file, which waits for choices; it begins with the old ones."""
    if not {"columns", "args"} & {*version.schema} or version.state == VersionState.REJECTED:
        raise RegistryError("Only a table, images, arrays and labelled lines have a target to choose.")
    schema = version.schema
    if "args" in schema:
        schema = {**schema, "args": {**schema["args"], **version.args}}
    made: DatasetVersion = add_version(
        version.dataset,
        source=version.source,
        ref=version.ref,
        state=VersionState.CHOOSING,
        blobs=version.blobs,
        sha256=version.blobs["path"],
        size_bytes=version.size_bytes,
        schema=schema,
        preview=version.preview,
        info={
            k: version.info[k]
            for k in ("filename", "choices", "server_file", "fetched", "stored", "workbook")
            if k in version.info
        },
        created_by=user,
    )
    return made


def archive_entry(*, entry: Model | Dataset, archived: bool, user: User) -> None:
    """Take a model or dataset out of the lists and forms, or bring it back; its runs keep it."""
    with transaction.atomic():
        type(entry).objects.filter(pk=entry.pk).update(archived_at=timezone.now() if archived else None)
        record(user, f"{entry._meta.model_name}.{'archive' if archived else 'restore'}", entry)


def clean_name(name: str) -> str:
    """The name as it is kept (NFC, single spaces); RegistryError if it is empty, too long or cannot be shown."""
    name = unicodedata.normalize("NFC", " ".join(name.split(" ")).strip())
    if not name:
        raise RegistryError("Give it a name.", field="name")
    if len(name) > MAX_NAME_CHARS:
        raise RegistryError(f"The name has {len(name):,} characters; at most {MAX_NAME_CHARS} fit.", field="name")
    if any(unicodedata.category(c) in _REFUSED_CATEGORIES for c in name):
        raise RegistryError("The name has characters that cannot be shown, such as a line break or NUL.", field="name")
    return name


def checked_code(code: str) -> tuple[str, str]:
    """(code with plain line ends, sha256). Whether it is Python is found out by the worker, never here."""
    code = code.replace("\r\n", "\n").replace("\r", "\n").removeprefix("\ufeff")
    size = len(code.encode("utf-8", "surrogatepass"))
    if not code.strip():
        raise RegistryError("There is no code. Paste it, or choose a .py file.", field="code")
    if size > MAX_CODE_BYTES:
        text = f"The code has {size:,} bytes; at most {MAX_CODE_BYTES:,} are read. Data does not belong in code."
        raise RegistryError(text, field="code")
    if "\0" in code or size != len(code.encode("utf-8", "replace")):
        raise RegistryError("The code has NUL or broken characters; save it as UTF-8.", field="code")
    return code, hashlib.sha256(code.encode()).hexdigest()


def checked_package_path(path: str) -> str:
    path = path.strip()
    if len(path) > 200 or not _PACKAGE_PATH.fullmatch(path):
        raise RegistryError("Write it as package.module:Class, such as mylib.models:Net.", field="path")
    return path


def _register_code(
    entries: type[Model | Dataset],
    project: Project,
    user: User,
    name: str,
    code: str,
    filename: str,
    class_name: str,
    note: str,
    fields: dict[str, Any],
) -> Any:
    _check_right(user, project)
    code, digest = checked_code(code)
    wanted = {"class": _checked_class(class_name)} if class_name else {}
    info = {"filename": safe_name(filename), "wanted": wanted}
    with transaction.atomic():
        entry = entry_named(entries, project, user, name, **fields)
        return _add_code(entry, user, Version.Source.FILE, code, digest, class_name, note, info)


def _register_project(
    entries: type[Model | Dataset],
    project: Project,
    user: User,
    name: str,
    data: bytes,
    filename: str,
    class_name: str,
    note: str,
    fields: dict[str, Any],
) -> Any:
    _check_right(user, project)
    ref = checked_class_ref(class_name)
    code, left_out = project_text(data)
    digest = hashlib.sha256(code.encode()).hexdigest()
    info = {"filename": safe_name(filename or "project.zip"), "left_out": left_out}
    info["wanted"] = {"class": ref} if ref else {}
    with transaction.atomic():
        entry = entry_named(entries, project, user, name, **fields)
        return _add_code(entry, user, Version.Source.PROJECT, code, digest, ref, note, info)


def _add_code(
    entry: Any, user: User, source: str, code: str, digest: str, ref: str, note: str, info: dict[str, Any]
) -> Any:
    """The version with this code and class if there is one, else a new one to inspect."""
    for known in entry.versions.filter(source=source, sha256=digest).order_by("number"):
        if not ref or ref == known.ref:
            return _known(known)
    version = add_version(
        entry, source=source, ref=ref, code=code, sha256=digest, note=note, info=info, created_by=user
    )
    record(user, f"{entry._meta.model_name}.register", version, sha256=digest)
    return version


def entry_named(entries: type[Any], project: Project, user: User, name: str, **fields: Any) -> Any:
    """The project's model or dataset of that name, made if there is none."""
    name = clean_name(name)
    found = entries.objects.filter(project=project, name=name).first()
    if found is None:
        try:
            with transaction.atomic():
                return entries.objects.create(project=project, name=name, created_by=user, **fields)
        except IntegrityError:
            found = entries.objects.get(project=project, name=name)  # somebody made it at the same moment
    if found.deleted_at is not None:
        raise RegistryError(f"“{name}” is in the trash. Take it out or choose another name.", field="name")
    if found.archived_at is not None:
        raise RegistryError(f"“{name}” is archived. Bring it back or take another name.", field="name")
    if "kind" in fields and found.kind != fields["kind"]:
        words = f"“{name}” is a dataset of another kind ({found.get_kind_display().lower()}). Take another name."
        raise RegistryError(words, field="name")
    return found


def _known(version: Any) -> Any:
    """A version with the same content; if it had been rejected, the surroundings may have changed since."""
    if version.state == VersionState.REJECTED:
        inspect_again(version)
    return version


def _check_right(user: User, project: Project) -> None:
    if not may_run_code(user, project):
        raise CodeRightMissing


def _checked_class(name: str) -> str:
    if not _CLASS_NAME.fullmatch(name):
        raise RegistryError("A class has a name of letters, digits and underscores.", field="class_name")
    return name


def _project_of(version: ModelVersion | DatasetVersion) -> Project:
    entry = version.model if isinstance(version, ModelVersion) else version.dataset
    if entry.project is None:
        raise CodeRightMissing
    return entry.project
