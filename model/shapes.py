"""The dimension letters used in every name and annotation of this package.

| letter | dimension | letter | dimension |
|---|---|---|---|
| B | batch (sequences) | D | width of the model |
| L | tokens of a sequence | H | attention heads |
| C | chunks of a sequence, C = L / M | K | size of one head, D = H K |
| M | tokens per chunk | F | feed-forward width, 4 D |
| N | neighbours per chunk | V | vocabulary |
| S | scored candidates per chunk | P | retrievable pairs (j, j + 1) |
| R | tokens of a neighbour, R = 2 M | W | tokens of a window stride |
| E | features of a chunk's query and key | | |

An array is named after its dimensions (`hidden_BLD`); Q and T stand for the query and key positions of an
attention, X for dimensions that are merely carried along. Chunk numbers count from the start of the sequence
and -1 means "none".
"""

from __future__ import annotations

from jax import Array
from jaxtyping import Bool, Float, Int

Scalar = Float[Array, ""]
RowMask = Bool[Array, " B"]
TokenIds = Int[Array, "B L"]
TokenMask = Bool[Array, "B L"]
TokenLosses = Float[Array, "B L"]
HiddenStates = Float[Array, "B L D"]
ChunkStates = Float[Array, "B C M D"]
ChunkMask = Bool[Array, "B C"]
RetrievalVectors = Float[Array, "B C E"]
ChunkScores = Float[Array, "B C C"]
ChunkPairMask = Bool[Array, "C C"]
Neighbours = Int[Array, "B C N"]
NeighbourMask = Bool[Array, "B C N"]
NeighbourStates = Float[Array, "B C N R D"]
PassageTokens = Int[Array, "B C N R"]
CandidateIds = Int[Array, "B C S"]
CandidateScores = Float[Array, "B C S"]
EmbeddingTable = Float[Array, "V D"]
