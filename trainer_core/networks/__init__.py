"""Plain networks (`torch.nn.Module`): which ones code offers, and the module that trains one by the task of its data."""
