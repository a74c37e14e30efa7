"""What a circuit does: perches, movers, stages, periods and model circuits, and the verbs that act on them."""

from stagecraft.circuit_board import CircuitBoard as CircuitBoard
from stagecraft.circuit_board import pull as pull
from stagecraft.circuit_board import push as push
from stagecraft.circuit_board import validate as validate
from stagecraft.draw import draw as draw
from stagecraft.draw import mermaid as mermaid
from stagecraft.euler_errors import EulerErrors as EulerErrors
from stagecraft.euler_errors import euler_errors as euler_errors
from stagecraft.explain import explain as explain
from stagecraft.load import load as load
from stagecraft.model_circuit import ModelCircuit as ModelCircuit
from stagecraft.mover import Mover as Mover
from stagecraft.panel import Panel as Panel
from stagecraft.perch import Perch as Perch
from stagecraft.period import Period as Period
from stagecraft.population import Population as Population
from stagecraft.precision import enable_compilation_cache as enable_compilation_cache
from stagecraft.precision import enable_x64 as enable_x64
from stagecraft.push_forward import push_forward as push_forward
from stagecraft.results import Outcome as Outcome
from stagecraft.results import SolveError as SolveError
from stagecraft.simulate import simulate as simulate
from stagecraft.solve import solve as solve
from stagecraft.stage import Stage as Stage
from stagecraft.to_latex import to_latex as to_latex
