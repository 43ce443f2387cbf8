"""The systems the Retrieval-Pretrained Transformer is compared with."""
