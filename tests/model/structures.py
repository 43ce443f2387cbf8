"""The systems that compute something of their own: for tests that compile a training step, which the others
would only repeat.
"""

from data_contracts.systems import RECORDS

STRUCTURES = [name for name, record in RECORDS.items() if not record.variant_of]
BLOCKS = ["rpt_sem", "memorizing_32k", "block_recurrent", "griffin", "block_recurrent_official"]
"""Systems that have between them every kind of block, norm and residual branch: for what is decided there."""
