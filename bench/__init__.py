"""How the methods are compared: data, embeddings, cells, records and reports."""
