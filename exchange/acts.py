"""Every act that may be asked of the hub, by FHIR's code of its interaction or the name of its operation.

Spec:    https://hl7.org/fhir/R4/http.html, https://hl7.org/fhir/R4/operations.html
Leaves:  deciding, running and auditing an act to perform.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from exchange.interactions.act import Act
from exchange.interactions.create import Create
from exchange.interactions.history import History
from exchange.interactions.patch import Patch
from exchange.interactions.read import Read
from exchange.interactions.search import Search
from exchange.interactions.transaction import TransactionBundle
from exchange.interactions.update import Delete, Update
from exchange.interactions.vread import VersionRead
from exchange.operations.access_log import AccessLog
from exchange.operations.access_signals import AccessSignals, JudgeSignal
from exchange.operations.access_statistics import AccessStatistics
from exchange.operations.accesses import Accesses
from exchange.operations.adapter_states import AdapterStates
from exchange.operations.close_emergency import CloseEmergency
from exchange.operations.determine_sensitivity import DetermineSensitivity
from exchange.operations.disclosure import Disclosure
from exchange.operations.docref import DocRef
from exchange.operations.document import Document
from exchange.operations.emergency_cases import EmergencyCases
from exchange.operations.everything import Everything
from exchange.operations.expand import Expand
from exchange.operations.file_consent import FileConsent
from exchange.operations.lastn import LastN
from exchange.operations.lookup import Lookup
from exchange.operations.meta import ChangeMeta, Meta
from exchange.operations.open_emergency import OpenEmergency
from exchange.operations.question_access import QuestionAccess
from exchange.operations.report_output import ReportOutput
from exchange.operations.revoke_consent import RevokeConsent
from exchange.operations.subsumes import Subsumes
from exchange.operations.translate import Translate
from exchange.operations.validate import Validate
from exchange.operations.validate_code import ValidateCode
from exchange.problems import NotSupported
from exchange.request import Request
from exchange.requester import Requester

ACTS: Final[dict[str, Callable[[Request, Requester], Act]]] = {
    "read": Read,
    "vread": VersionRead,
    "update": Update,
    "patch": Patch,
    "delete": Delete,
    "create": Create,
    "history-instance": History,
    "history-type": History,
    "history-system": History,
    "search-type": Search,
    "search-system": Search,
    "transaction": TransactionBundle,
}
OPERATIONS: Final[dict[str, Callable[[Request, Requester], Act]]] = {
    "access-log": AccessLog,
    "access-signals": AccessSignals,
    "access-statistics": AccessStatistics,
    "accesses": Accesses,
    "adapter-states": AdapterStates,
    "close-emergency": CloseEmergency,
    "determine-sensitivity": DetermineSensitivity,
    "disclosure": Disclosure,
    "docref": DocRef,
    "document": Document,
    "emergency-cases": EmergencyCases,
    "everything": Everything,
    "expand": Expand,
    "file": FileConsent,
    "judge-signal": JudgeSignal,
    "lastn": LastN,
    "lookup": Lookup,
    "meta": Meta,
    "meta-add": ChangeMeta,
    "meta-delete": ChangeMeta,
    "open-emergency": OpenEmergency,
    "question-access": QuestionAccess,
    "report-output": ReportOutput,
    "revoke": RevokeConsent,
    "subsumes": Subsumes,
    "translate": Translate,
    "validate": Validate,
    "validate-code": ValidateCode,
}


def act_of(request: Request, requester: Requester) -> Act:
    """The act that a request asks for. Raises: NotSupported."""
    if request.interaction == "operation":
        made = OPERATIONS.get(request.operation)
        if made is None:
            raise NotSupported("there is no such operation", "http.url")
        return made(request, requester)
    act = ACTS.get(request.interaction)
    if act is None:
        raise NotSupported(f"this hub has no {request.interaction}", "http.url")
    return act(request, requester)
