"""JetStream under the eventsourcing library: `PERSISTENCE_MODULE=attorn.eventsourcing`.

An application's own events go to a stream of its own; attorn's log is read with `attorn.eventsourcing.log`.
"""

# The library looks for the one factory among the names of the module that it was given.
from attorn.eventsourcing.factory import JetStreamFactory as JetStreamFactory
