"""Who this adapter is to the region, and what it forgets on an order.

Spec:    docs/adapters.md, "Commands".
"""

from __future__ import annotations

import json
from typing import Annotated

import typer

from adapters.commands.screen import BAD_SITE, BARRED, Site, outbox_of, say
from adapters.cycle import only_one
from adapters.sender import enrolment
from adapters.sender.client_key import make_client_key
from adapters.settings import read_settings


def keys(site: Site) -> None:
    """Crea la clave del cliente si no existe y muestra su mitad pública (JWKS)."""
    settings = read_settings(site)
    print(json.dumps({"keys": [make_client_key(settings.data_folder).public_jwk]}))


def enrol(
    site: Site,
    code: Annotated[
        str | None,
        typer.Argument(metavar="[CÓDIGO]", help="De la región, para una sola vez; si falta, se pide."),
    ] = None,
) -> None:
    """Inscribe este adaptador en el hub con un código de un solo uso; la clave se crea aquí y no sale."""
    settings = read_settings(site)
    typed = code if code is not None else typer.prompt("Código de la región")
    try:
        found = enrolment.enrol(settings, typed)
    except enrolment.EnrolmentRefused as refused:
        say(f"{refused.code} {enrolment.REMEDIES[refused.code]}")
        raise typer.Exit(BAD_SITE if refused.code == "A-322" else BARRED) from None
    prefix = found.id_prefix.rstrip("-")
    print(f"A-320 Inscrito: client_id {found.client_id}, id_prefix {prefix}, para {found.organization}.")
    apart = enrolment.differences(settings, found)
    for each in apart:
        say(f"A-327 El archivo dice {each.setting} {each.here}; la región registró {each.there}. Corríjalo.")
    if apart:
        raise typer.Exit(BAD_SITE)


def erase(
    site: Site,
    patient: Annotated[str, typer.Option("--patient", metavar="ID", help="El id de su Patient en el hub.")],
) -> None:
    """Elimina, por orden, todo lo que esta computadora guarda de un paciente, y no lo vuelve a tomar."""
    settings = read_settings(site)
    with only_one(settings.data_folder), outbox_of(settings) as outbox:
        number = outbox.erase_patient(patient.removeprefix("Patient/"))
    if number is None:
        say("A-405 Aquí no hay nada de ese paciente.")
        raise typer.Exit(BAD_SITE)
    print(f"A-406 Se eliminaron {number} registros. El sistema de origen no se toca: elimínelo allí también.")
