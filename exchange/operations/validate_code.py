"""$validate-code: whether a code is in a value set, or one of a code system's, and its display right.

Spec:    https://hl7.org/fhir/R4/valueset-operation-validate-code.html,
         https://hl7.org/fhir/R4/codesystem-operation-validate-code.html
Leaves:  membership to terminology.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from exchange.operations.lookup import display_in
from exchange.operations.parameters import BOOLEAN, CODEABLE, CODING, RESOURCE, TEXT, Given, parameters
from exchange.operations.terminology_target import code_system_of, rules_of
from exchange.permit import Permit
from exchange.problems import Malformed, NotSupported
from exchange.request import Answer, Need, Request
from exchange.requester import Requester
from exchange.store.session import Transaction
from exchange.terminology.membership import Verdict, in_known_system, in_value_set, is_display_of
from exchange.terminology.value_set import expansion_of

SHARED: Final = {"url": TEXT, "code": TEXT, "version": TEXT, "display": TEXT, "coding": CODING,
                 "codeableConcept": CODEABLE, "abstract": BOOLEAN, "displayLanguage": TEXT}  # fmt: skip
TAKEN: Final = {
    "CodeSystem": SHARED | {"codeSystem": RESOURCE},
    "ValueSet": (
        SHARED | {"valueSet": RESOURCE, "valueSetVersion": TEXT, "system": TEXT, "systemVersion": TEXT}
    ),
}
MOST_CODINGS: Final = 50
WRONG_DISPLAY: Final = "the display is not one of the code's"
IS_ABSTRACT: Final = "the code groups others and is not meant to be recorded"

Judge = Callable[[str, str], Verdict]


class ValidateCode:
    """CodeSystem and ValueSet $validate-code, of a type or of one resource. Raises: NotFound - no such set or system."""

    def __init__(self, request: Request, _requester: Requester) -> None:
        self.kind = request.resource_type
        if self.kind not in TAKEN:
            raise NotSupported("$validate-code is asked of CodeSystem or ValueSet", "http.url")
        self.given = Given(request, TAKEN[self.kind])
        self.resource_id = request.resource_id
        self.codings = self._codings()
        self.need = Need(
            ((self.kind, "r"),), target=(self.kind, self.resource_id) if self.resource_id else None
        )

    def run(self, transaction: Transaction, permit: Permit) -> Answer:
        """Whether any of the codings is right; the first that is gives the display."""
        judge = (
            self._of_system(transaction, permit)
            if self.kind == "CodeSystem"
            else self._of_set(transaction, permit)
        )
        told: list[tuple[str, Verdict]] = []
        for coding in self.codings:
            verdict = judge(coding.get("system", ""), coding["code"])
            problem = self._problem(verdict, coding.get("display", ""))
            if not problem:
                return self._answer(verdict, "")
            told.append((problem, verdict))
        problem, verdict = told[0]
        return self._answer(verdict, problem)

    def _codings(self) -> list[dict[str, Any]]:
        given = self.given
        codings: list[dict[str, Any]] = []
        if given.one("codeableConcept"):
            codings += given.one("codeableConcept").get("coding", ())
        if given.one("coding"):
            codings.append(given.one("coding"))
        if given.text("code"):
            system = given.text("system") if self.kind == "ValueSet" else given.text("url")
            codings.append({"system": system, "code": given.text("code"), "display": given.text("display")})
        whole = [each for each in codings if each.get("code")]
        if not whole or len(whole) > MOST_CODINGS:
            raise Malformed("give a code, a coding or a codeableConcept", "http.code", code="required")
        if self.kind == "ValueSet" and not all(each.get("system") for each in whole):
            raise Malformed("a code needs its system", "http.system", code="required")
        return whole

    def _of_system(self, transaction: Transaction, permit: Permit) -> Judge:
        posted, url = (
            self.given.one("codeSystem"),
            self.given.text("url") or self.codings[0].get("system", ""),
        )
        if not (url or posted or self.resource_id):
            raise Malformed("name a code system by url, or give it", "http.url", code="required")
        version = self.given.text("version")
        system = code_system_of(transaction, permit, self.resource_id, url, version, posted)

        def judge(system_url: str, code: str) -> Verdict:
            if system_url not in ("", system.url):
                return Verdict(False, None, "the coding is of another code system")
            return in_known_system(system, code)

        return judge

    def _of_set(self, transaction: Transaction, permit: Permit) -> Judge:
        given = self.given
        url, version = given.text("url"), given.text("valueSetVersion") or given.text("version")
        rules, known_as, _ = rules_of(
            transaction, permit, self.resource_id, url, version, given.one("valueSet")
        )
        expansion = expansion_of(transaction, rules, "http.url", known_as=known_as)
        return lambda system, code: in_value_set(transaction, expansion, system, code)

    def _problem(self, verdict: Verdict, display: str) -> str:
        if not verdict.belongs or verdict.concept is None:
            return verdict.why
        if verdict.concept.is_abstract and not self.given.flag("abstract"):
            return IS_ABSTRACT
        if display and not is_display_of(verdict.concept, display):
            return WRONG_DISPLAY
        return ""

    def _answer(self, verdict: Verdict, problem: str) -> Answer:
        display = display_in(verdict.concept, self.given.text("displayLanguage")) if verdict.concept else ""
        return parameters(
            ("result", "valueBoolean", not problem),
            ("message", "valueString", problem),
            ("display", "valueString", display),
        )
