"""What a model says: YAML and equations, spaces, shocks, parameters; first-order conditions derived from them."""

from heptapod.check import check as check
from heptapod.circuit_spec import CircuitSpec as CircuitSpec
from heptapod.dialect.parts import added as added
from heptapod.errors import Diagnostic as Diagnostic
from heptapod.errors import ModelError as ModelError
from heptapod.formulas.formula import Formula as Formula
from heptapod.load import load as load
from heptapod.problem.functional_problem import FunctionalProblem as FunctionalProblem
from heptapod.problem.numeric_problem import Branch as Branch
from heptapod.problem.numeric_problem import NumericProblem as NumericProblem
from heptapod.problem.solutions import HORSES as HORSES
from heptapod.problem.solutions import AbstractSolution as AbstractSolution
from heptapod.problem.solutions import Egm as Egm
from heptapod.problem.solutions import Search as Search
from heptapod.reports.explain import explain as explain
from heptapod.reports.schema import schema as schema
from heptapod.reports.to_latex import to_latex as to_latex
from heptapod.shocks.base import AbstractShock as AbstractShock
from heptapod.shocks.base import Moments as Moments
from heptapod.shocks.read import SHOCKS as SHOCKS
from heptapod.spaces.grids import GRIDS as GRIDS
from heptapod.spaces.grids import AbstractGrid as AbstractGrid
