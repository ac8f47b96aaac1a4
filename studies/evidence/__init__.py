"""Does information at initialisation follow trainability? Networks trained beside what the theory says of them.

``python -m studies.evidence`` (``make evidence``) trains fully connected networks over a grid of sigma_w and depths,
ranks them by how far a fixed budget of training got, and compares that order with those of the estimators. It needs the
extra `evidence` (PyTorch on the processor, scikit-learn's data sets, matplotlib).
"""
