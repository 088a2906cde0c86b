"""From rollouts to every number: batches measured, added up, summed up, written and read back."""
