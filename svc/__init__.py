"""Quahog: a cast of Discord characters over NATS JetStream, entirely on the owner's machine.

`svc.wire` holds the messages, `svc.bus` carries them, every other folder is one service.
The direction of dependency is `wire <- bus <- service`; a service never imports another.
"""
