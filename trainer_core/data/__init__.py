"""How batches reach the step: loaders, their combination, prefetch and nested batches."""
