"""The DPR-style dense retriever: questions, encoders, training, evaluation."""
