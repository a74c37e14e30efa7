"""What a model says: YAML and equations, spaces, shocks, parameters; first-order conditions derived from them."""

from heptapod.check import check as check
from heptapod.circuit_spec import CircuitSpec as CircuitSpec
from heptapod.errors import Diagnostic as Diagnostic
from heptapod.errors import ModelError as ModelError
from heptapod.load import load as load
from heptapod.problem.functional_problem import FunctionalProblem as FunctionalProblem
from heptapod.reports.explain import explain as explain
from heptapod.reports.schema import schema as schema
from heptapod.reports.to_latex import to_latex as to_latex
