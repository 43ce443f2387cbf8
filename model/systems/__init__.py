"""Systems that are more than a class of model/baselines/. data_contracts/systems.py has the record of every
system.
"""
