"""
Fake providers: real HTTP servers that answer as each provider does, with content of our own.

`async with serve(openai.answer) as fake:` gives one on a free port; `fake.requests` has every request to the octet.
The shapes are complete enough for the providers' own SDKs. All of them say `TEXT` and count `TOKENS_IN` and
`TOKENS_OUT`, so a test need not look up what to expect.
"""
