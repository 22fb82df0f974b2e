"""Where answers, fill leases and run buffers are kept: in memory or in Redis, behind the same Protocols."""
