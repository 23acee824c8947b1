"""$everything: the shared history of one person, as far as the permit reaches.

Spec:    https://hl7.org/fhir/R4/patient-operation-everything.html
Leaves:  decision to consent. A person whose records are all out of reach looks absent.
"""

from __future__ import annotations

from typing import Final

from exchange.fhir.definitions import is_resource_type, type_code, type_name
from exchange.interactions.bundle_text import NOTICE, bundle, entry
from exchange.interactions.search import touched
from exchange.permit import Permit
from exchange.problems import NotFound, NotSupported
from exchange.request import Answer, Need, Request
from exchange.requester import Requester
from exchange.settings import settings
from exchange.store.session import Transaction
from exchange.store.versions import COLUMNS, opened
from exchange.store.visibility import visible

SLICE: Final = """
SELECT {columns}, r.clinical_at FROM resource r
WHERE r.compartment = ANY(%(compartments)s::bigint[]) AND NOT r.is_deleted AND {where} {types}
ORDER BY r.compartment, r.type, r.clinical_at DESC, r.id"""


class Everything:
    """GET [base]/Patient/[id]/$everything. Raises: NotFound - absent or hidden; NotSupported - other parameters."""

    def __init__(self, request: Request, _requester: Requester) -> None:
        self.patient_id = request.resource_id
        self.types: list[str] = []
        for name, text in request.query:
            if name in ("_format", "_pretty"):
                continue
            types = text.split(",")
            if name != "_type" or not all(is_resource_type(each) for each in types):
                raise NotSupported("$everything takes _type, a list of resource types", "http.query")
            self.types += types
        self.need = Need((("Patient", "r"),), target=("Patient", self.patient_id))

    def run(self, transaction: Transaction, permit: Permit) -> Answer:
        """All of it, in one bundle: the Patients of every linked record first."""
        if not permit.compartments:
            raise NotFound("no such Patient")
        where, parameters = visible(permit)
        wanted = {type_code(each) for each in self.types}
        if permit.types is not None:
            readable = {type_code(each) for each in permit.types}
            wanted = wanted & readable if wanted else readable
        types = "AND r.type = ANY(%(types)s::smallint[])" if wanted or permit.types is not None else ""
        sql = SLICE.format(columns=COLUMNS, where=where, types=types)
        versions = opened(transaction, transaction.rows(sql, parameters | {"types": sorted(wanted)}))
        if not versions and not self.types:
            raise NotFound("no such Patient")
        versions.sort(key=lambda version: type_name(version.type_code) != "Patient")
        links = [("self", f"{settings().fhir_url}/Patient/{self.patient_id}/$everything")]
        entries = [*(entry(version, "match") for version in versions), NOTICE]
        return Answer(body=bundle("searchset", links, entries, len(versions)), touched=touched(versions))
