"""HTTP and Kafka: decode, open the transaction, call one use case, map the result."""
