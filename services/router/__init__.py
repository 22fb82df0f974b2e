"""The router: "where". Configuration, catalogue, stored keys and provider health; it never sees a prompt."""
