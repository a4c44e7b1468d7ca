"""What the verbs of a store cost in each engine, which runs beside the measuring process on this machine.

The files are where Python makes temporary ones, so TMPDIR chooses the disk.
"""
