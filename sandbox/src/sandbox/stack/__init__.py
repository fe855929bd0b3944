from sandbox.stack.errors import PortTakenError, ProcessDiedError, StackError
from sandbox.stack.stack import External, Stack, StackPorts

__all__ = ["External", "PortTakenError", "ProcessDiedError", "Stack", "StackError", "StackPorts"]
