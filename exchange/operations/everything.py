"""$everything: the shared history of one person or one encounter, as far as the permit reaches.

Spec:    https://hl7.org/fhir/R4/patient-operation-everything.html,
         https://hl7.org/fhir/R4/encounter-operation-everything.html
Leaves:  decision to consent; walking through the record to everything_walk.

Without `_count` all of it is one bundle, streamed without an end that the hub would set; with it, pages. For all
patients in reach (Patient/$everything) there are pages only. A person whose records are all out of reach looks absent.
`start` and `end` narrow by the clinical date; what has none - the Patient, an allergy - stays.
"""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import quote, urlencode

from exchange.crypto.page_token import open_token, seal_token
from exchange.fhir.datatype import MAX_INSTANT, MIN_INSTANT, date_range
from exchange.fhir.definitions import is_resource_type
from exchange.interactions.bundle_text import NOTICE, bundle, bundle_start, entry, fhir_url
from exchange.interactions.page_binding import holder
from exchange.interactions.search import touched
from exchange.operations.everything_walk import Walk, Wanted, is_seen, keys_of, page_of, referenced
from exchange.operations.parameters import INTEGER, TEXT, Given
from exchange.permit import Permit
from exchange.problems import Malformed, NotFound, NotSupported
from exchange.request import Answer, Need, Request, Touched
from exchange.requester import Requester
from exchange.settings import settings
from exchange.store.session import Transaction

_TAKEN: Final = {
    "Patient": {"_since": TEXT, "_type": TEXT, "_count": INTEGER, "start": TEXT, "end": TEXT, "_page": TEXT},
    "Encounter": {"_since": TEXT, "_type": TEXT, "_count": INTEGER, "_page": TEXT},
}


class Everything:
    """GET or POST Patient/[id]/$everything, Patient/$everything and Encounter/[id]/$everything.

    Raises: NotFound - absent or hidden; NotSupported - other parameters, or another type.
    """

    def __init__(self, request: Request, requester: Requester) -> None:
        taken = _TAKEN.get(request.resource_type)
        if (
            taken is None
            or request.version_id
            or (request.resource_type == "Encounter" and not request.resource_id)
        ):
            raise NotSupported(
                "$everything is asked of a Patient, of all Patients or of an Encounter", "http.url"
            )
        self.request = request
        self.requester = requester
        given = Given(request, taken, repeating=("_type",))
        types = [each for text in given.all("_type") for each in text.split(",")]
        if not all(map(is_resource_type, types)):
            raise NotSupported("'_type' takes resource types", "http._type")
        low, high = _instants(given.text("start"), "start")[0], _instants(given.text("end"), "end")[1]
        dated = (low, high) if given.text("start") or given.text("end") else None
        since = _instants(given.text("_since"), "_since")[0] if given.text("_since") else None
        self.encounter = request.resource_id if request.resource_type == "Encounter" else ""
        self.wanted = Wanted(frozenset(types), since, dated, self.encounter)
        self.page = given.text("_page")
        counted = given.one("_count")
        if counted == 0:
            raise Malformed("'_count' is a page's size, from 1 on", "http._count")
        self.is_paged = counted is not None or bool(self.page) or not request.resource_id
        self.count = min(counted or settings().default_page_size, settings().max_page_size)
        if request.resource_id:
            self.need = Need(
                ((request.resource_type, "r"),), target=(request.resource_type, request.resource_id)
            )
        else:
            self.need = Need((("Patient", "s"),))

    def run(self, transaction: Transaction, permit: Permit) -> Answer:
        """All of it in one bundle, or one page: the Patients of every linked record first."""
        kind, resource_id = self.request.resource_type, self.request.resource_id
        if resource_id and not is_seen(transaction, permit, kind, resource_id):
            raise NotFound(f"no such {self.request.resource_type}")
        return self._page(transaction, permit) if self.is_paged else self._whole(transaction, permit)

    def _whole(self, transaction: Transaction, permit: Permit) -> Answer:
        keys = keys_of(transaction, permit, self.wanted)
        if not self._is_there(keys):
            raise NotFound(f"no such {self.request.resource_type}")
        records = sorted({record for key in keys for record in key.compartments if record > 0})
        walk = Walk(self.wanted, keys, frozenset(records))
        total = None if self.encounter else len(keys)
        return Answer(
            body=bundle_start("searchset", [("self", self._url(""))], total) + b',"entry":[',
            touched=[
                Touched(
                    record,
                    tuple(
                        f"{key.place}/_history/{key.version_id}" for key in keys if record in key.compartments
                    ),
                )
                for record in records
            ],
            pieces=walk.piece,
        )

    def _is_there(self, keys: list[Any]) -> bool:
        """Whether the asked-for itself is there; filters may leave nothing of what is."""
        wanted = self.wanted
        if self.encounter:
            return any(key.place == f"Encounter/{self.encounter}" for key in keys) or wanted.is_narrowed
        return bool(keys) or wanted.is_narrowed

    def _page(self, transaction: Transaction, permit: Permit) -> Answer:
        bound = [holder(self.requester), "everything", self.request.resource_type, self.request.resource_id,
                 self._told()]  # fmt: skip
        position = open_token(transaction.crypto, bound, self.page) if self.page else []
        found = page_of(transaction, permit, self.wanted, position, self.count)
        if not found.versions and not position and self.request.resource_id and not self.wanted.is_narrowed:
            raise NotFound(f"no such {self.request.resource_type}")
        added = referenced(transaction, permit, self.wanted, found.versions)
        links = [("self", self._url(""))]
        if found.next_position:
            links.append(("next", self._url(seal_token(transaction.crypto, bound, found.next_position))))
        entries = [entry(each, "match") for each in found.versions] + [
            entry(each, "include") for each in added
        ]
        return Answer(
            body=bundle("searchset", links, [*entries, NOTICE]), touched=touched((*found.versions, *added))
        )

    def _told(self) -> list[tuple[str, str]]:
        return [pair for pair in self.request.query if pair[0] not in ("_format", "_pretty", "_page")]

    def _url(self, page: str) -> str:
        place = "/".join(
            part for part in (fhir_url(), self.request.resource_type, self.request.resource_id) if part
        )
        text = urlencode([*self._told(), *([("_page", page)] if page else [])], quote_via=quote, safe=":,/$")
        return f"{place}/$everything" + (f"?{text}" if text else "")


def _instants(text: str, name: str) -> tuple[int, int]:
    if not text:
        return MIN_INSTANT, MAX_INSTANT
    try:
        return date_range(text.replace(" ", "+"), settings().zone)
    except ValueError:
        raise NotSupported(f"'{name}' takes a date or an instant", f"http.{name}") from None
