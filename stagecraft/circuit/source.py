"""What a circuit was read from."""


class ModelSource:
    """What was read, carried for messages; equal to every other source, so that it never decides a compilation.

    **Attributes:** `spec`: the model as heptapod read it.
    """

    def __init__(self, spec):
        self.spec = spec

    @property
    def units(self) -> dict[str, str]:
        """The units that the model says: of variables by name, of parameters by path."""
        return dict(getattr(self.spec, "units", {}))

    def __eq__(self, other) -> bool:
        return isinstance(other, ModelSource)

    def __hash__(self) -> int:
        return hash(ModelSource)
