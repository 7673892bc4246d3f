"""What the planner is told of these steps: the same meaning in the words of `decodery.contracts.lowering`.

A step that is not here is opaque to it, which always works: `xtc` drops the best tokens and keeps worse ones, `skew`
tells equal tokens apart by their ids, `mirostat` and `adaptive_p` move with what was drawn, and what reads texts
decides by them. Each one here keeps to the operations of its step, so that what is fused draws the step's very tokens.
"""
