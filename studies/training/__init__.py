"""Information in networks while they learn, by the theory of random weights and by measurement.

``python -m studies.training`` (``make training``) trains fully connected networks, audits about 30 checkpoints of each
as ``mfmi audit`` does, and puts values beside that owe nothing to the theory. Every network is trained twice: with
weights ``U diag(s) V^T`` whose rotations stay as they were drawn, so that the theory's assumption holds while the
singular values learn, and with free weights. It needs the extra `evidence`.
"""
