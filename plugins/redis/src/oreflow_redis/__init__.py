"""oreflow-redis: a shared configuration store, and shared circuit breakers, in Redis."""
