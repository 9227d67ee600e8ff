"""`qgjob app`: builds, uploaded once and installed from there."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from qgjob.cli import options as opt
from qgjob.cli import values
from qgjob.cli.display.transfers import transfer
from qgjob.cli.help import completing
from qgjob.cli.options import option
from qgjob.cli.session import Session, run, session_of
from qgjob.clock import rfc3339
from qgjob.domain.wording import show_size

app = typer.Typer(add_completion=False, no_args_is_help=True)


class UploadCommand(TyperCommand):
    """Takes what the project file says of the build."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Whose build it is, and which, may stand in the project file."""
        if not {"--help", "-h"}.intersection(args):
            from typer.main import get_command

            from qgjob.cli.commands.submit import app as submit
            from qgjob.cli.settings.defaults import defaults_of

            # The file holds defaults of submit: its other keys are no mistakes.
            defaults = defaults_of(get_command(submit).params, Path.cwd(), os.environ).as_map()
            ctx.default_map = {parameter.name: defaults.get(parameter.name) for parameter in self.params}
        return super().parse_args(ctx, args)


@app.callback()
def builds() -> None:
    """Upload and list builds; release held ones."""


@app.command("upload", cls=UploadCommand)
def upload(
    ctx: typer.Context,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="An archive, a package or a folder.", show_default=False)
    ],
    org_id: opt.OrgId,
    app_version_id: opt.AppVersionId,
    app_id: Annotated[
        str | None, option("--app-id", metavar="PACKAGE", help="The app's package or bundle id.")
    ] = None,
    platform: Annotated[
        str | None,
        option(
            "--platform",
            metavar="P",
            help="The platform it is for, a label of its slots (android, ios); else for all.",
        ),
    ] = None,
    as_json: opt.Json = False,
) -> None:
    """Upload a build. A version stands for its bytes: other bytes under its id are refused."""
    ids = {
        "org_id": values.identifier("--org-id", org_id),
        "app_version_id": values.identifier("--app-version-id", app_version_id),
        "app_id": None if app_id is None else values.identifier("--app-id", app_id),
        "platform": None if platform is None else values.identifier("--platform", platform),
    }
    run(_upload(session_of(ctx), file, ids, as_json=as_json))


async def _upload(session: Session, file: Path, ids: dict[str, Any], *, as_json: bool) -> None:
    async with session.client() as client:
        with transfer(session.out, file.name) as progress:
            record = await client.upload_app(file, **ids, progress=progress)
    if as_json:
        from qgjob.client.shapes import build_json

        session.out.json(build_json(record))
        return
    session.out.line(f"{record.blob.digest}  {record.org_id} {record.app_version_id}")


@app.command("list")
def list_builds(ctx: typer.Context, org_id: opt.MaybeOrgId = None, as_json: opt.Json = False) -> None:
    """List the builds that were uploaded, newest first."""
    if org_id is not None:
        values.identifier("--org-id", org_id)
    run(_list(session_of(ctx), org_id, as_json=as_json))


async def _list(session: Session, org_id: str | None, *, as_json: bool) -> None:
    async with session.client() as client:
        builds = await client.builds(org_id=org_id)
    if as_json:
        from qgjob.client.shapes import build_json

        session.out.json({"builds": [build_json(record) for record in builds]})
        return
    if not builds:
        session.out.note("No builds. Upload one with `qgjob app upload`.")
        return
    session.out.table(
        ["ORG", "VERSION", "PLATFORM", "APP", "SIZE", "FILE", "UPLOADED", "SHA-256"],
        (
            [
                record.org_id,
                record.app_version_id,
                record.platform or "any",
                record.app_id or "",
                show_size(record.blob.size),
                record.file_name,
                rfc3339(record.uploaded_at) or "",
                record.blob.digest[:12],
            ]
            for record in builds
        ),
    )


@app.command("resume")
def resume(
    ctx: typer.Context,
    app_version_id: Annotated[
        str,
        typer.Argument(
            metavar="V",
            help="The build that is held.",
            show_default=False,
            autocompletion=completing.builds,
        ),
    ],
    org_id: opt.OrgId,
) -> None:
    """Release a build that is held because it failed on slot after slot."""
    values.identifier("--org-id", org_id)
    values.identifier("V", app_version_id)
    run(_resume(session_of(ctx), org_id, app_version_id))


async def _resume(session: Session, org_id: str, app_version_id: str) -> None:
    async with session.client() as client:
        await client.resume_build(org_id, app_version_id)
    session.out.say(f"Jobs of {app_version_id} of {org_id} may start again.")
