"""One attorn on one machine: a real nats-server, the services and the projector, kept running together."""
