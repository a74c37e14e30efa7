"""Texts of small models: a frame, and stages that stand in it."""

import stagecraft as sc

FRAME = """
model:
  name: Small
  horizon: {T}
  terminal: {terminal}
  parameters: {{{parameters}}}
  settings: {{n: 250}}
  defaults: {{inherit: all}}
  connections:
    intra_period: [{intra}]
    inter_period: [{inter}]
stages:
{stages}
"""


def stage(name, functions, controls="", *, arvl, dcsn="", cntn, more=""):
    """The text of one stage."""
    spaces = f"arvl: {arvl}, " + (f"dcsn: {dcsn}, " if dcsn else "") + f"cntn: {cntn}"
    chosen = f"      controls: {{{controls}}}\n" if controls else ""
    return f"  {name}:\n    math:\n      functions: {{{functions}}}\n{chosen}{more}      state_space: {{{spaces}}}\n"


def circuit(*stages, T, terminal, parameters, inter, intra=""):
    """A circuit of a few stages."""
    return sc.load(
        FRAME.format(T=T, terminal=terminal, parameters=parameters, inter=inter, intra=intra, stages="".join(stages))
    )


GRID = "{{type: power, min: {low}, max: {high}, points: n}}".format
LOG = 'Q: "log(c) + beta*V[>]"'
