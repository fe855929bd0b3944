"""HTTP and Kafka: parse, open the transaction, call, map."""
