"""oreflow-redis: a shared configuration store in Redis."""
