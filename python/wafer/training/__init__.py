"""Training: gradients on the wafer, optimizer in MemoryX, several systems, checkpoints. The public names are wafer.train_step and wafer.optim."""
