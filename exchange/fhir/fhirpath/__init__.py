"""FHIRPath for rules: whole expressions of invariants and discriminators, bounded in steps and time.

Spec:    http://hl7.org/fhirpath/N1/
Leaves:  search expressions to ../path.py, which runs for every stored resource and is several times faster.
"""

from exchange.fhir.fhirpath.compile import Expression, compile_fhirpath
from exchange.fhir.fhirpath.scope import World
from exchange.fhir.fhirpath.values import EvaluationError, Item, Items, truth

__all__ = ["EvaluationError", "Expression", "Item", "Items", "World", "compile_fhirpath", "truth"]
