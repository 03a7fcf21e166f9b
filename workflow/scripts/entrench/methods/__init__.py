"""One file per method: what it reads, what it trains on, how it chooses or which loss it has."""
