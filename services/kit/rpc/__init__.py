"""
Conversations between processes: one supervised stream, its server side, and the same thing without a network.

A conversation is data (`link.Conversation`), a service is a `link.Conversations`, a client is a `link.Listener`
that is given `link.Links`. What joins them:

    async with local_links(conversation, conversations, clock=clock) as links: ...                # local.py
    async with replicas(conversation, target="dns:///limiter:9002", caller=caller) as links: ...  # replicas.py
    links.listen(listener)          # or give the listener as the next positional argument

    server = RpcServer(address="127.0.0.1:9002", tls=tls)                                         # server.py
    server.add(conversation, conversations)
    server.answer(procedure, function)                                                            # procedure.py
    async with server: ...

Read `client_link.py` for what a client's end does, `silence.py` for when it gives up, `stream.py` for the wire.
"""
